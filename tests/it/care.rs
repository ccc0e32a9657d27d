//! Looking after photos: the trash, conflict copies, what was deleted, damage, restored backups.

mod trash;
