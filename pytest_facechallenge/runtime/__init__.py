"""Running a submission: sandbox, preprocessing, pictures, behaviour, the pinned server runtime."""
