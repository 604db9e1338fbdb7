//! The packet path of Trunkline.
//!
//! Two modules may be `unsafe`, each use explained where it stands: `opus` calls a C library, `descriptor` takes a number
//! from Python for the socket that it is.

#![deny(unsafe_code)]

mod aes_counter;
pub mod audio;
pub mod call;
mod cipher;
mod comfort;
mod concealment;
#[allow(unsafe_code)]
#[cfg(feature = "python")]
mod descriptor;
mod digit_listener;
mod direction;
pub mod discards;
pub mod dtmf;
mod ears;
pub mod formats;
pub mod g711;
mod g722;
pub mod interface;
pub mod latch;
mod leg_reports;
pub mod mailbox;
#[allow(unsafe_code)]
pub mod opus;
pub mod outbound;
pub mod outbox;
mod packing;
pub mod path;
mod pcm;
pub mod phone;
pub mod player;
pub mod playout;
mod playout_delay;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
mod python_bench;
#[cfg(feature = "python")]
mod python_values;
mod rate;
pub mod reception;
mod replay;
mod resampling;
mod rewriter;
pub mod rtcp;
pub mod rtp;
pub mod sounds;
mod sources;
pub mod srtp;
pub mod tap;
mod timescale;
mod tone_detector;
mod transcoder;
pub mod webrtc;
pub mod worker;
