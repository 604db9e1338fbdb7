//! The packet path of Trunkline.

mod cipher;
#[cfg(feature = "python")]
mod python;
mod replay;
pub mod rtp;
pub mod srtp;
