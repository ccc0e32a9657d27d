//! Stories through the real binary.

#![allow(unreachable_pub, reason = "a test binary has no users outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod api;
mod atomic;
mod bad_input;
mod browser;
mod care;
mod changes;
mod chromium;
mod cloud;
mod cloud_clients;
mod connect;
mod danger;
mod demo;
mod doctor;
mod embed;
mod faulty;
mod filters;
mod folding;
mod front;
mod habits;
mod import;
mod keep_names;
mod killed;
mod layers;
mod liar;
mod listing;
mod login_page;
mod moves;
mod names;
mod operate;
mod pages;
mod paths;
mod peers;
mod plain;
mod props;
mod real;
mod recorded;
mod resume;
mod rfc4918;
mod rights;
mod rounds;
mod scenarios;
mod schedule;
mod secrets;
mod security;
mod serve;
mod share;
mod simulation;
mod support;
mod sync;
mod table;
mod thumbnails;
mod watched;
