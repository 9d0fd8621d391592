//! Drivers that run the RAET engine on UDP sockets.
