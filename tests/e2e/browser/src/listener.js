// Hears a remote stream, so that a test can measure the pitch and level a person would hear.
const WINDOW = 16384;
const QUIET_DB = -55;
const STEADY_DB = 0.7;
const LOOK_EVERY_MS = 50;

let context = null;

/** Level of a run of samples, where a full-scale sine is 0 dB. */
function level(samples) {
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return 10 * Math.log10(2 * power + 1e-12);
}

export class Listener {
    #analyser;
    #samples = new Float32Array(WINDOW);

    constructor(stream) {
        context ??= new AudioContext();
        // Chromium feeds a remote stream to Web Audio only while a media element plays it.
        this.element = new Audio();
        this.element.muted = true;
        this.element.srcObject = stream;
        void this.element.play();
        this.#analyser = new AnalyserNode(context, { fftSize: WINDOW });
        context.createMediaStreamSource(stream).connect(this.#analyser);
    }

    /** Level of the last third of a second, in dB below a full-scale sine. */
    level() {
        this.#analyser.getFloatTimeDomainData(this.#samples);
        return level(this.#samples);
    }

    /** A third of a second of sound whose quarters are equally loud; fails with the levels heard if there is none. */
    async steady(timeoutMs) {
        const deadline = performance.now() + timeoutMs;
        for (;;) {
            this.#analyser.getFloatTimeDomainData(this.#samples);
            const levels = this.#quarters();
            if (Math.min(...levels) > QUIET_DB && Math.max(...levels) - Math.min(...levels) < STEADY_DB) {
                return { sampleRate: context.sampleRate, samples: Array.from(this.#samples) };
            }
            if (performance.now() > deadline) {
                throw new Error(`no steady sound in ${timeoutMs} ms, last levels ${levels.map((db) => db.toFixed(1))} dB`);
            }
            await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
        }
    }

    #quarters() {
        const size = WINDOW / 4;
        return [0, 1, 2, 3].map((quarter) => level(this.#samples.subarray(quarter * size, (quarter + 1) * size)));
    }
}
