//! What is remembered of the services, and when they are synced next.

use std::time::{Duration, Instant};

use crate::scheduler::{Agenda, Now, Setting, Standing, Trigger};
use crate::services::Service;
use crate::types::Clock;

use super::blocking::blocking;
use super::{Failure, Operations};

pub(crate) fn setting(service: &Service) -> Setting {
    let sync = &service.sync;
    let interval = Duration::from_secs(60) * sync.interval_minutes.max(1);
    Setting { id: service.id, on: sync.on, interval, window: sync.window, sends: sync.upload }
}

/// The time, with the steady clock beginning at `begun`.
pub(crate) fn now(clock: &Clock, begun: Instant) -> Now {
    let wall = clock.here();
    let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or(0);
    Now { steady: begun.elapsed(), wall: wall.timestamp().as_second(), minute }
}

impl Operations {
    /// All services, with what is remembered of them.
    pub(crate) async fn services_and_standings(&self) -> Result<Vec<(Service, Standing)>, Failure> {
        let (services, store) = (self.services.clone(), self.store.clone());
        blocking(move || {
            let all = services.list()?.into_iter();
            Ok(all.map(|service| Standing::of(&store, service.id).map(|standing| (service, standing))).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// When a service is run next by itself: an estimate for its owner.
    pub(crate) fn next_run(&self, service: &Service, standing: &Standing) -> Option<i64> {
        let mut agenda = Agenda::default();
        let moment = now(self.store.clock(), Instant::now());
        agenda.set(vec![(setting(service), standing.clone())], moment);
        let running = self.runs.of(service.id).is_some_and(|running| !matches!(running.trigger, Trigger::Manual | Trigger::Preview));
        agenda.next(service.id, moment).filter(|_| !running)
    }
}
