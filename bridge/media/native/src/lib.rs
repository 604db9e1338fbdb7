//! The packet path of Trunkline.

pub mod audio;
pub mod call;
mod cipher;
mod direction;
pub mod discards;
pub mod dtmf;
pub mod formats;
mod g711;
pub mod latch;
pub mod mailbox;
pub mod opus;
pub mod outbound;
pub mod outbox;
pub mod phone;
mod playout;
#[cfg(feature = "python")]
mod python;
mod rate;
pub mod reception;
mod replay;
mod rewriter;
pub mod rtp;
pub mod srtp;
mod transcoder;
pub mod webrtc;
pub mod worker;
