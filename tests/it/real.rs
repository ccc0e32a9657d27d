//! Servers that are real: one story of a two-way sync, told with each of them, and what each of them does to files.

mod apache;
mod found;
mod nginx;
mod node;
mod php;
mod rclone;
mod story;
mod wsgidav;
mod zero_bytes;
