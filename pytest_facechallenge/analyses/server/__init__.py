"""Would the evaluation server's runtime run the model? Read from the file, and tried in that runtime itself."""
