/* The search of the site runs in a worker, which browsers refuse to pages that are opened from a folder. There this class
   stands for it: the worker's script runs in a hidden frame, without a network. mkdocs-material's plugin "offline" would
   load one of another server for that, and takes this one where its name has "iframe-worker" in it. */
(() => {
  if (location.protocol !== "file:") return

  class IFrameWorker extends EventTarget {
    constructor(address) {
      super()
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.title = "search"
      /* The search is begun before the page's body is there. */
      const begin = () => this.begin(new URL(address, document.baseURI))
      if (document.body) begin()
      else document.addEventListener("DOMContentLoaded", begin)
    }

    begin(address) {
      document.body.append(this.frame)
      const inside = this.frame.contentWindow
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inside.document.createElement("script")
      script.src = address
      script.onload = () => {
        const waiting = this.waiting
        this.waiting = null
        waiting.forEach(data => this.postMessage(data))
      }
      inside.document.body.append(script)
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data)
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    }

    terminate() {
      this.frame.remove()
    }
  }

  window.IFrameWorker = IFrameWorker
  window.Worker = IFrameWorker
})()
