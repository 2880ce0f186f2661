//! The words of a message, in Korean, English or both. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::config::Tongue;
use super::digest::Digest;
use super::outbox::Letter;
use super::wanted::meaning;
use crate::model::{AlarmChange, AlarmEvent, Severity, Texts};

/// The longest line of a subject, in characters; mail programs show less.
const MAX_SUBJECT: usize = 150;

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// One line.
    pub(super) subject: String,
    /// All of it.
    pub(super) body: String,
}

/// Puts a message into words; times are told in `zone`.
pub(super) fn words(letter: &Letter, site: &str, tongue: Tongue, zone: &TimeZone) -> Words {
    let languages: &[bool] = match tongue {
        Tongue::En => &[false],
        Tongue::Ko => &[true],
        Tongue::Both => &[true, false],
    };
    let in_one = |korean: &bool| match letter {
        Letter::One(event) => one(event, site, *korean, zone),
        Letter::Many(digest) => many(digest, site, *korean, zone),
        Letter::Test => test(site, *korean),
    };
    let all: Vec<Words> = languages.iter().map(in_one).collect();
    let subject = all.first().map(|words| words.subject.as_str()).unwrap_or_default();
    // A line end in a subject would begin another header.
    let subject = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUBJECT).collect();
    Words { subject, body: all.into_iter().map(|words| words.body).collect::<Vec<_>>().join("\n\n") }
}

fn time(unix_us: i64, zone: &TimeZone) -> String {
    let time = Timestamp::from_microsecond(unix_us).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

const fn severity(severity: Severity, korean: bool) -> &'static str {
    match (severity, korean) {
        (Severity::Info, false) => "info",
        (Severity::Warning, false) => "warning",
        (Severity::High, false) => "high",
        (Severity::Critical, false) => "CRITICAL",
        (Severity::Info, true) => "정보",
        (Severity::Warning, true) => "경고",
        (Severity::High, true) => "중요",
        (Severity::Critical, true) => "위급",
    }
}

const fn change(change: AlarmChange, korean: bool) -> &'static str {
    if !korean {
        return match change {
            AlarmChange::Raised => "ALARM",
            AlarmChange::Escalated => "WORSE",
            AlarmChange::Returned => "back to normal",
            other => other.word(),
        };
    }
    match change {
        AlarmChange::Raised => "발생",
        AlarmChange::Escalated => "악화",
        AlarmChange::Eased => "완화",
        AlarmChange::Returned => "복귀",
        AlarmChange::Acknowledged => "확인",
        AlarmChange::Shelved => "보류",
        AlarmChange::Unshelved => "보류 해제",
        AlarmChange::Suppressed => "억제",
        AlarmChange::Unsuppressed => "억제 해제",
        AlarmChange::TakenOut => "사용 중지",
        AlarmChange::PutBack => "사용 재개",
        AlarmChange::Chattering => "반복 발생",
        AlarmChange::Calmed => "안정",
        AlarmChange::Pending | AlarmChange::Withdrawn => "대기",
    }
}

/// The text of a language, or the other one.
fn of(texts: &Texts, korean: bool) -> Option<&str> {
    let (first, second) = if korean { (&texts.ko, &texts.en) } else { (&texts.en, &texts.ko) };
    first.as_ref().or(second.as_ref()).map(|text| &**text)
}

fn one(event: &AlarmEvent, site: &str, korean: bool, zone: &TimeZone) -> Words {
    let status = &event.status;
    let message = of(&status.message, korean).unwrap_or(&status.name);
    let what = change(meaning(event), korean);
    let weight = severity(status.severity, korean);
    let label = |ko: &'static str, en: &'static str| if korean { ko } else { en };
    let mut lines = vec![
        message.to_owned(),
        String::new(),
        format!("{}: {}", label("알람", "Alarm"), status.name),
        format!("{}: {what}", label("상황", "Event")),
        format!("{}: {weight}", label("중요도", "Severity")),
    ];
    let mut line =
        |name: &str, text: Option<String>| lines.extend(text.map(|text| format!("{name}: {text}")));
    line(label("값", "Value"), status.value.as_ref().map(ToString::to_string));
    line(label("시각", "Time"), Some(time(event.at.unix_us, zone)));
    line(label("현장", "Site"), Some(site.to_owned()));
    line(label("그룹", "Groups"), (!status.groups.is_empty()).then(|| status.groups.join(", ")));
    line(label("담당", "By"), event.by.as_ref().map(ToString::to_string));
    line(label("의견", "Comment"), event.comment.as_ref().map(ToString::to_string));
    line(label("조치", "What to do"), of(&status.help, korean).map(str::to_owned));
    Words { subject: format!("[{site}] {what} ({weight}): {message}"), body: lines.join("\n") }
}

fn many(digest: &Digest, site: &str, korean: bool, zone: &TimeZone) -> Words {
    let Digest { came, returned, other, .. } = digest;
    let worst = digest.worst.map(|worst| severity(worst, korean));
    let (first, last) = digest.span_us.unwrap_or_default();
    let span = format!("{} – {}", time(first, zone), time(last, zone));
    let mut names = digest.named.join(", ");
    if korean {
        if digest.more > 0 {
            names.push_str(&format!(" 외 {}건", digest.more));
        }
        let subject = format!("[{site}] 알람 {came}건 발생, {returned}건 복귀");
        let worst = worst.map(|worst| format!("\n최고 중요도: {worst}")).unwrap_or_default();
        let body = format!(
            "알람이 너무 많아 한 번에 알립니다: 발생 {came}건, 복귀 {returned}건, 기타 {other}건.{worst}\n기간: {span}\n현장: {site}\n알람: {names}"
        );
        return Words { subject, body };
    }
    if digest.more > 0 {
        names.push_str(&format!(" and {} more", digest.more));
    }
    let subject = format!("[{site}] {came} alarms came, {returned} went");
    let worst = worst.map(|worst| format!("\nThe worst of them: {worst}")).unwrap_or_default();
    let body = format!(
        "Too many to tell one by one: {came} came, {returned} went, {other} other events.{worst}\nFrom: {span}\nSite: {site}\nAlarms: {names}"
    );
    Words { subject, body }
}

fn test(site: &str, korean: bool) -> Words {
    match korean {
        true => Words {
            subject: format!("[{site}] 시험 메시지"),
            body: format!("{site} 게이트웨이의 알람 알림 시험입니다. 조치할 것은 없습니다."),
        },
        false => Words {
            subject: format!("[{site}] test message"),
            body: format!(
                "This is a test of the alarm notifications of {site}. There is nothing to be done."
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::wanted::tests::event;
    use super::*;
    use crate::model::AlarmState;

    fn hot() -> Letter {
        let hot = event("hot", AlarmChange::Raised, AlarmState::ActiveUnacknowledged, Severity::Critical);
        Letter::One(Box::new(hot))
    }

    #[test]
    fn an_alarm_is_told_in_the_language_that_is_wanted() {
        let zone = TimeZone::fixed(jiff::tz::offset(9));
        let english = words(&hot(), "busan", Tongue::En, &zone);
        assert_eq!(english.subject, "[busan] ALARM (CRITICAL): Platen at 61.5 °C");
        for line in [
            "Value: 61.5",
            "Time: 2026-11-21 09:00:00 +09:00",
            "Groups: press",
            "What to do: Check the cooling water",
        ] {
            assert!(english.body.lines().any(|own| own == line), "{line} in {}", english.body);
        }
        let korean = words(&hot(), "busan", Tongue::Ko, &zone);
        assert_eq!(korean.subject, "[busan] 발생 (위급): 프레스 온도 61.5 °C");
        let both = words(&hot(), "busan", Tongue::Both, &zone);
        assert_eq!(
            (both.subject.as_str(), both.body),
            (korean.subject.as_str(), format!("{}\n\n{}", korean.body, english.body))
        );
    }

    #[test]
    fn a_subject_is_one_line_whatever_the_alarm_says() {
        let Letter::One(mut event) = hot() else { unreachable!("it is one") };
        event.status.message = Texts::from(format!("a\r\nBcc: eve@example.com{}", "x".repeat(500)).as_str());
        let subject = words(&Letter::One(event), "busan", Tongue::En, &TimeZone::UTC).subject;
        assert!(!subject.contains(['\r', '\n']) && subject.chars().count() == MAX_SUBJECT, "{subject}");
    }

    #[test]
    fn many_are_told_by_their_number() {
        let mut digest = Digest::default();
        for number in 0..25 {
            digest.add(&event(
                &format!("a{number}"),
                AlarmChange::Raised,
                AlarmState::ActiveUnacknowledged,
                Severity::High,
            ));
        }
        let letter = Letter::Many(Box::new(digest));
        let english = words(&letter, "busan", Tongue::En, &TimeZone::UTC);
        assert_eq!(english.subject, "[busan] 25 alarms came, 0 went");
        assert!(
            english.body.contains("The worst of them: high") && english.body.ends_with("a19 and 5 more"),
            "{}",
            english.body
        );
        assert!(words(&letter, "busan", Tongue::Ko, &TimeZone::UTC).body.ends_with("a19 외 5건"));
        assert!(words(&Letter::Test, "busan", Tongue::Ko, &TimeZone::UTC).subject.contains("시험"));
    }
}
