//! What people want of alarms, done to one or to all of a group.

use std::sync::Arc;

use super::{Alarms, Engine, status};
use crate::alarm::instance::Alarm;
use crate::alarm::rule::Rule;
use crate::model::{AlarmRefusal, AlarmRequest, AlarmStatus, AlarmTarget, Stamp};

/// The longest comment and name of a person, in bytes.
pub const MAX_WORDS: usize = 1024;

impl Engine {
    /// Does what somebody wants, to all alarms that are meant. Returns how they stand after it.
    ///
    /// # Errors
    /// Why nothing was done at all.
    pub fn operate(&self, request: &AlarmRequest) -> Result<Vec<AlarmStatus>, AlarmRefusal> {
        let long = |text: &str| text.len() > MAX_WORDS || text.chars().any(char::is_control);
        if request.by.trim().is_empty() || long(&request.by) || request.comment.as_deref().is_some_and(long) {
            let why =
                format!("say who you are; name and comment are single lines of up to {MAX_WORDS} bytes");
            return Err(AlarmRefusal::Request(why));
        }
        let now = self.clock.stamp();
        let mut state = self.lock();
        match &request.target {
            AlarmTarget::Alarm(name) => {
                let place = self.by_name.get(name.as_str()).copied();
                let place = place.ok_or_else(|| AlarmRefusal::Unknown(format!("alarm `{name}`")))?;
                self.act(&mut state, place, request, now)
                    .map(|status| vec![status])
                    .map_err(AlarmRefusal::State)
            }
            AlarmTarget::Group(name) => {
                let belongs = |rule: &Rule| rule.groups.iter().any(|group| **group == **name);
                let places = (0..self.rules.len()).filter(|place| belongs(&self.rules[*place]));
                let (mut done, mut refused) = (Vec::new(), None);
                for place in places {
                    match self.act(&mut state, place, request, now) {
                        Ok(status) => done.push(status),
                        Err(why) => refused = refused.or(Some(why)),
                    }
                }
                match refused {
                    _ if !done.is_empty() => Ok(done),
                    Some(why) => Err(AlarmRefusal::State(why)),
                    None => Err(AlarmRefusal::Unknown(format!("group `{name}`"))),
                }
            }
        }
    }

    fn act(
        &self,
        state: &mut Alarms,
        place: usize,
        request: &AlarmRequest,
        now: Stamp,
    ) -> Result<AlarmStatus, String> {
        let Alarms { all, flood, .. } = &mut *state;
        let (rule, alarm) = (&self.rules[place], &mut all[place]);
        let who = (Arc::clone(&request.by), request.comment.clone());
        let mut tell = |alarm: &mut Alarm, change, from| self.tell(flood, place, alarm, change, from, now);
        alarm.operate(rule, request.action, who, now, &mut tell)?;
        let status = status(&flood.groups, place, rule, alarm);
        self.remind(state, place, now.mono);
        Ok(status)
    }
}
