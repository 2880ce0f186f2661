//! What a bridge would do with the topics of a plan, known before anything runs.
//!
//! Pure.

use super::config::Config;
use super::mapping::Mapping;
use super::profile::Shape;

/// The most topics that are named one by one.
const MOST_NAMED: usize = 5;

/// Which of these local topics the bridge forwards though its broker does not take them, one sentence each.
#[must_use]
pub fn misfits<'a>(config: &Config, topics: impl Iterator<Item = &'a str>) -> Vec<String> {
    if config.profile.shape() != Shape::Plain {
        return Vec::new();
    }
    let (mapping, limits) = (Mapping::new(config), config.limits());
    let mut found = Vec::new();
    let mut more = 0;
    for topic in topics {
        let Some(mapped) = mapping.outward(topic) else { continue };
        let Some(why) = limits.topic_misfit(&mapped.topic) else { continue };
        if found.len() < MOST_NAMED {
            found.push(format!("forward: `{topic}` cannot go to {}: {why}", config.profile.word()));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        found.push(format!("forward: {more} more topics do not fit either; `strip` makes them shorter"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::config::{Rule, RuleConfig};
    use crate::bridge::profile::Profile;

    #[test]
    fn topics_that_do_not_fit_are_named_before_anything_runs() {
        let mut config = Config {
            profile: Profile::AwsIotCore,
            forward: vec![Rule(RuleConfig::of("a/#"))],
            ..Config::to("mqtts://broker.example.com".parse().unwrap())
        };
        let topics = ["a/2/3/4/5/6/7/8/9", "b/2/3/4/5/6/7/8/9", "a/b"];
        let found = misfits(&config, topics.into_iter());
        assert_eq!(
            found,
            [
                "forward: `a/2/3/4/5/6/7/8/9` cannot go to aws-iot-core: the topic has 9 levels, the broker takes 8"
            ]
        );
        assert_eq!(misfits(&config, std::iter::repeat_n(topics[0], 9)).len(), MOST_NAMED + 1);
        config.forward[0].0.strip = "a/".into();
        assert_eq!(misfits(&config, topics.into_iter()), Vec::<String>::new());
    }
}
