//! Stories through the real binary.

#![allow(unreachable_pub, reason = "a test binary has no users outside")]

mod bad_input;
mod demo;
mod faulty;
mod layers;
mod peers;
mod serve;
mod support;
mod sync;
