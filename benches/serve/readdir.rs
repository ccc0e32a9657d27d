//! How often in a second all names of a folder are read and looked at, by a thread on each core: what a server that asks the file system
//! for every listing cannot exceed. Usage: readdir FOLDER SECONDS

use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (folder, seconds) = (args.next().ok_or("FOLDER is missing")?, args.next().ok_or("SECONDS is missing")?);
    let (begin, length) = (Instant::now(), Duration::from_secs_f64(seconds.parse()?));
    let cores = std::thread::available_parallelism()?.get();
    let look = || -> std::io::Result<u64> {
        let mut rounds = 0;
        while begin.elapsed() < length {
            for entry in std::fs::read_dir(&folder)? {
                std::hint::black_box(entry?.metadata()?);
            }
            rounds += 1;
        }
        Ok(rounds)
    };
    let rounds = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(look)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread failed")).collect::<Result<Vec<_>, _>>()
    })?;
    let rounds: u64 = rounds.into_iter().sum::<std::io::Result<u64>>()?;
    println!("{}", rounds as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}
