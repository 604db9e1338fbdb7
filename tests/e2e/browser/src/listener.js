// Hears a remote stream, so that a test can measure the pitch and level a person would hear.
const WINDOW = 16384;
const BLOCK = 1024;
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
    #source;
    #gap = 0;
    longestGap = 0;
    #samples = new Float32Array(WINDOW);

    constructor(stream) {
        context ??= new AudioContext();
        // Chromium feeds a remote stream to Web Audio only while a media element plays it.
        this.element = new Audio();
        this.element.muted = true;
        this.element.srcObject = stream;
        void this.element.play();
        this.#analyser = new AnalyserNode(context, { fftSize: WINDOW });
        this.#source = context.createMediaStreamSource(stream);
        this.#source.connect(this.#analyser);
    }

    /** Keep the longest silence from now on, in milliseconds, in `longestGap`. */
    timeGaps() {
        const meter = context.createScriptProcessor(BLOCK, 1, 1);
        meter.onaudioprocess = ({ inputBuffer }) => this.#time(level(inputBuffer.getChannelData(0)));
        this.#source.connect(meter);
        meter.connect(context.destination);
    }

    #time(blockLevel) {
        this.#gap = blockLevel < QUIET_DB ? this.#gap + (BLOCK * 1000) / context.sampleRate : 0;
        this.longestGap = Math.max(this.longestGap, this.#gap);
    }

    /** Whether there was nothing to be heard in the last third of a second. */
    get isQuiet() {
        return this.level() < QUIET_DB;
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
