//! RAET on microcontrollers.
#![no_std]
