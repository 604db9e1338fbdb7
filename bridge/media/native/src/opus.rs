//! Opus through libopus, which is loaded when it is first needed: the copy that Python's side found.
//!
//! Telephone audio is 8 or 16 kHz, one channel; libopus resamples inside, so no other resampler is needed.

use std::ffi::{CString, c_char, c_int, c_uchar, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, OnceLock};

const VOIP: c_int = 2048;
const SET_BITRATE: c_int = 4002;
const SET_COMPLEXITY: c_int = 4010;
const SET_INBAND_FEC: c_int = 4012;
const SET_PACKET_LOSS_PERC: c_int = 4014;
const SET_MAX_BANDWIDTH: c_int = 4004;
const SET_VBR: c_int = 4006;
const SET_DTX: c_int = 4016;
const NARROWBAND: c_int = 1101;
/// Sampling rates that the audio bands from narrowband on have; fullband, the last one, has more (RFC 6716 §2).
const BANDS: [u32; 4] = [8000, 12_000, 16_000, 24_000];
/// An Opus packet holds at most 120 ms (RFC 6716 §3.4).
const LONGEST_MS: usize = 120;
/// Bits a second of speech, room for redundancy included: that takes a quarter of them.
const BITRATE: c_int = 32_000;
const LARGEST_PACKET: usize = 1275;

type Create = unsafe extern "C" fn(c_int, c_int, c_int, *mut c_int) -> *mut c_void;
type CreateDecoder = unsafe extern "C" fn(c_int, c_int, *mut c_int) -> *mut c_void;
type Destroy = unsafe extern "C" fn(*mut c_void);
type Control = unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int;
type Encode = unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut c_uchar, i32) -> i32;
type Decode = unsafe extern "C" fn(*mut c_void, *const c_uchar, i32, *mut i16, c_int, c_int) -> c_int;

/// libopus refused a packet.
#[derive(Debug)]
pub struct OpusError;

/// The functions of a loaded libopus, which stays loaded as long as the process lives.
pub struct Library {
    create_encoder: Create,
    create_decoder: CreateDecoder,
    destroy_encoder: Destroy,
    destroy_decoder: Destroy,
    control: Control,
    encode: Encode,
    decode: Decode,
}

static LIBRARY: OnceLock<Option<Arc<Library>>> = OnceLock::new();

/// The library at this path, for all calls; `None` when there is none or it lacks a function.
pub fn library(path: &str) -> Option<Arc<Library>> {
    LIBRARY.get_or_init(|| Library::load(path).map(Arc::new)).clone()
}

impl Library {
    fn load(path: &str) -> Option<Self> {
        let path = CString::new(path).ok()?;
        // SAFETY: the path is a C string; loading runs no code but the library's own constructors.
        let handle = NonNull::new(unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) })?;
        let find = |name: &std::ffi::CStr| {
            // SAFETY: the handle is open, and never closed; the name is a C string.
            NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr().cast::<c_char>()) }).map(NonNull::as_ptr)
        };
        // SAFETY: these are the signatures of libopus's stable interface (opus.h, 1.x).
        unsafe {
            Some(Self {
                create_encoder: std::mem::transmute::<*mut c_void, Create>(find(c"opus_encoder_create")?),
                create_decoder: std::mem::transmute::<*mut c_void, CreateDecoder>(find(c"opus_decoder_create")?),
                destroy_encoder: std::mem::transmute::<*mut c_void, Destroy>(find(c"opus_encoder_destroy")?),
                destroy_decoder: std::mem::transmute::<*mut c_void, Destroy>(find(c"opus_decoder_destroy")?),
                control: std::mem::transmute::<*mut c_void, Control>(find(c"opus_encoder_ctl")?),
                encode: std::mem::transmute::<*mut c_void, Encode>(find(c"opus_encode")?),
                decode: std::mem::transmute::<*mut c_void, Decode>(find(c"opus_decode")?),
            })
        }
    }
}

/// What whoever receives Opus asks of its sender (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The most bits a second.
    pub bitrate: u32,
    /// In Hz: what lies above half of it is not heard.
    pub playback_rate: u32,
    /// Whether redundancy is made use of.
    pub fec: bool,
    /// Whether next to nothing is to be sent of silence.
    pub dtx: bool,
    /// Whether all packets are to have one length.
    pub constant: bool,
}

impl Default for Wish {
    /// Where nobody has asked for anything: with redundancy.
    fn default() -> Self {
        Self { bitrate: 510_000, playback_rate: 48_000, fec: true, dtx: false, constant: false }
    }
}

/// Frames of mono PCM at 8 or 16 kHz to Opus, as whoever receives it wishes: with in-band FEC (RFC 6716 §2.1.7).
pub struct Encoder {
    library: Arc<Library>,
    state: NonNull<c_void>,
}

// SAFETY: an encoder's state may be used from any thread, by one at a time; the reference is exclusive.
unsafe impl Send for Encoder {}

impl Encoder {
    /// A fresh encoder for PCM of this rate.
    pub fn new(library: Arc<Library>, rate: usize, wish: Wish) -> Option<Self> {
        let mut error = 0;
        // SAFETY: the function allocates the state and writes one integer.
        let state = NonNull::new(unsafe { (library.create_encoder)(rate as c_int, 1, VOIP, &mut error) })?;
        let band = BANDS.partition_point(|rate| *rate < wish.playback_rate) as c_int;
        let settings: [(c_int, c_int); 7] = [
            (SET_BITRATE, BITRATE.min(wish.bitrate as c_int)),
            (SET_COMPLEXITY, 5),
            (SET_INBAND_FEC, c_int::from(wish.fec)),
            (SET_PACKET_LOSS_PERC, 5),
            (SET_MAX_BANDWIDTH, NARROWBAND + band),
            (SET_DTX, c_int::from(wish.dtx)),
            (SET_VBR, c_int::from(!wish.constant)),
        ];
        for (request, value) in settings {
            // SAFETY: the state is live, and each of these requests takes one integer.
            unsafe { (library.control)(state.as_ptr(), request, value) };
        }
        Some(Self { library, state })
    }

    /// Append the packet of one frame.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), OpusError> {
        let start = out.len();
        out.resize(start + LARGEST_PACKET, 0);
        let (input, count) = (samples.as_ptr(), samples.len() as c_int);
        // SAFETY: the state is live, input and output are as long as they are said to be.
        let size = unsafe {
            (self.library.encode)(self.state.as_ptr(), input, count, out[start..].as_mut_ptr(), LARGEST_PACKET as i32)
        };
        out.truncate(start + size.max(0) as usize);
        if size < 0 { Err(OpusError) } else { Ok(()) }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the state is live, and nobody uses it any more.
        unsafe { (self.library.destroy_encoder)(self.state.as_ptr()) }
    }
}

/// Opus of any rate and channel count to mono PCM at 8 or 16 kHz.
pub struct Decoder {
    library: Arc<Library>,
    longest: usize,
    state: NonNull<c_void>,
}

// SAFETY: a decoder's state may be used from any thread, by one at a time; the reference is exclusive.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A fresh decoder that makes PCM of this rate.
    pub fn new(library: Arc<Library>, rate: usize) -> Option<Self> {
        let mut error = 0;
        // SAFETY: the function allocates the state and writes one integer.
        let state = NonNull::new(unsafe { (library.create_decoder)(rate as c_int, 1, &mut error) })?;
        Some(Self { library, longest: rate * LONGEST_MS / 1000, state })
    }

    /// Append the audio of a packet; of an empty one, audio that continues what was heard.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<(), OpusError> {
        self.run(packet, self.longest, false, out)
    }

    /// Append the audio of a lost packet, from the redundancy in the one that follows it.
    pub fn recover(&mut self, following: &[u8], samples: usize, out: &mut Vec<i16>) -> Result<(), OpusError> {
        self.run(following, samples, true, out)
    }

    /// Append audio that continues what was heard last, fading out over about 100 ms.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) -> Result<(), OpusError> {
        self.run(&[], samples, false, out)
    }

    fn run(&mut self, packet: &[u8], samples: usize, fec: bool, out: &mut Vec<i16>) -> Result<(), OpusError> {
        let start = out.len();
        out.resize(start + samples, 0);
        let input = if packet.is_empty() { ptr::null() } else { packet.as_ptr() };
        let (size, room) = (packet.len() as i32, samples as c_int);
        let output = out[start..].as_mut_ptr();
        // SAFETY: the state is live, input and output are as long as they are said to be; no input is a loss.
        let size = unsafe { (self.library.decode)(self.state.as_ptr(), input, size, output, room, c_int::from(fec)) };
        out.truncate(start + size.max(0) as usize);
        if size < 0 { Err(OpusError) } else { Ok(()) }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the state is live, and nobody uses it any more.
        unsafe { (self.library.destroy_decoder)(self.state.as_ptr()) }
    }
}
