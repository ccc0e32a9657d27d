//! Looking after photos: the trash, conflict copies, what was deleted, damage, restored backups.

mod conflicts;
mod restored;
mod tombstones;
mod trash;
mod verify;
