// Paints what changes often: at most once a frame, and never for more than a quarter of the time.

const REST = 3; // times what the last painting took

export class Frames {
  #paint;
  #asked = 0; // of the browser: a frame
  #timer = 0;
  #ready = 0; // ms

  constructor(paint) {
    this.#paint = paint;
  }

  // Paint soon; any number of calls until then are one.
  ask() {
    if (this.#asked || this.#timer) return;
    const wait = this.#ready - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#frame(), wait);
    else this.#frame();
  }

  stop() {
    cancelAnimationFrame(this.#asked);
    clearTimeout(this.#timer);
    this.#asked = this.#timer = 0;
  }

  #frame() {
    this.#timer = 0;
    this.#asked = requestAnimationFrame(() => {
      this.#asked = 0;
      const began = performance.now();
      this.#paint();
      this.#ready = performance.now() + REST * (performance.now() - began);
    });
  }
}
