//! The service behind a network that fails by chance.

use std::collections::HashMap;

use crate::liar::fault::Fault;
use crate::liar::wire::{self, Fate, Step};
use crate::liar::world::{Habits, Kind, World};
use crate::plain::State;

use super::chance::Chance;

const FAULTS: [Fault; 8] = [
    Fault::Unheard,
    Fault::Lost,
    Fault::Lost,
    Fault::Cut,
    Fault::Refused(503),
    Fault::Refused(500),
    Fault::Denied(500),
    Fault::Refused(502),
];

/// What fails depends on the request alone and on how often it was made, not on what happens beside it.
pub struct Weather {
    seed: u64,
    /// Of a thousand requests so many fail.
    pub failing: usize,
    /// How often each request was made.
    asked: HashMap<String, u32>,
}

impl Fate for Weather {
    fn of(&mut self, step: &Step) -> Option<Fault> {
        if self.failing == 0 {
            return None;
        }
        let request = format!("{} {}", step.method, step.target);
        let asked = self.asked.entry(request.clone()).or_default();
        *asked += 1;
        let mut chance = Chance::of(self.seed, &format!("{request} {asked}"));
        (chance.below(1000) < self.failing).then(|| *chance.pick(&FAULTS))
    }
}

pub type Service = wire::Service<Weather>;

pub fn service(seed: u64, files: State) -> Service {
    let mut world = World::new(Kind::Plain, Habits::default());
    world.files = files;
    Service::new(world, Weather { seed, failing: 0, asked: HashMap::new() })
}
