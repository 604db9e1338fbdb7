"""Audio between WebRTC and RTP: ICE, DTLS-SRTP, codecs, playout and digits, behind the `MediaEngine` port."""
