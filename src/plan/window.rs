//! `spec.window`: when what disrupts may start.

use super::WaitingFor;
use crate::crd::{Weekday, Window};
use jiff::{
    SignedDuration, Timestamp, ToSpan as _, Zoned,
    civil::{Date, Time, Weekday as Day},
    tz::TimeZone,
};

/// A window opens at least once in so many days.
const DAYS_AHEAD: i32 = 8;
/// Nothing comes of a window that cannot be understood until somebody corrects it.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// `None` while it is open, else what is waited for, and until when. One that cannot be understood never opens.
pub(super) fn wait(window: &Window, now: Timestamp) -> Option<(WaitingFor, Timestamp)> {
    let Some(parsed) = parse(window) else {
        return Some((WaitingFor::WindowUnknown { zone: window.time_zone.clone() }, now + AGAIN));
    };
    let until = closed_until(window, parsed, now)?;
    Some((WaitingFor::OutsideWindow { until }, until))
}

fn closed_until(window: &Window, (start, end, zone): (Time, Time, TimeZone), now: Timestamp) -> Option<Timestamp> {
    let here = now.to_zoned(zone.clone());
    let openings = (-1..=DAYS_AHEAD).filter_map(|days| {
        let date = here.date().checked_add(days.days()).ok()?;
        opens_on(window, date).then(|| hours(date, start, end, &zone)).flatten()
    });
    let next = openings.filter(|(_, closes)| *closes > here).min_by(|a, b| a.0.cmp(&b.0))?;
    (next.0 > here).then(|| next.0.timestamp())
}

fn parse(window: &Window) -> Option<(Time, Time, TimeZone)> {
    let time = |text: &str| text.parse::<Time>().ok();
    Some((time(&window.start)?, time(&window.end)?, TimeZone::get(&window.time_zone).ok()?))
}

/// Whether the time zone is one of the IANA database.
pub fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// From the start of that day's window to its end, which is on the next day if it is not after the start.
fn hours(date: Date, start: Time, end: Time, zone: &TimeZone) -> Option<(Zoned, Zoned)> {
    let end_date = if end > start { date } else { date.tomorrow().ok()? };
    let at = |date: Date, time: Time| date.to_datetime(time).to_zoned(zone.clone()).ok();
    Some((at(date, start)?, at(end_date, end)?))
}

fn opens_on(window: &Window, date: Date) -> bool {
    let day = match date.weekday() {
        Day::Monday => Weekday::Monday,
        Day::Tuesday => Weekday::Tuesday,
        Day::Wednesday => Weekday::Wednesday,
        Day::Thursday => Weekday::Thursday,
        Day::Friday => Weekday::Friday,
        Day::Saturday => Weekday::Saturday,
        Day::Sunday => Weekday::Sunday,
    };
    window.days.is_empty() || window.days.contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], start: &str, end: &str, zone: &str) -> Window {
        Window { days: days.to_vec(), start: start.into(), end: end.into(), time_zone: zone.into() }
    }

    fn until(window: &Window, now: &str) -> Option<String> {
        wait(window, now.parse().unwrap()).map(|(_, at)| at.to_string())
    }

    #[test]
    fn a_window_opens_and_closes_in_its_own_zone() {
        let night = window(&[], "22:00", "04:00", "Europe/Berlin");
        assert_eq!(until(&night, "2026-07-01T12:00:00Z").as_deref(), Some("2026-07-01T20:00:00Z"));
        assert_eq!(until(&night, "2026-07-01T20:00:00Z"), None);
        assert_eq!(until(&night, "2026-07-02T01:59:59Z"), None);
        assert_eq!(until(&night, "2026-07-02T02:00:00Z").as_deref(), Some("2026-07-02T20:00:00Z"));
    }

    #[test]
    fn a_window_in_a_zone_that_nobody_knows_says_so() {
        let (why, _) = wait(&window(&[], "22:00", "04:00", "Europe/Atlantis"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(why.reason(), "WindowUnknown");
    }

    #[test]
    fn a_window_opens_on_its_days_only() {
        let weekend = window(&[Weekday::Saturday], "08:00", "18:00", "UTC");
        // A Wednesday.
        assert_eq!(until(&weekend, "2026-07-01T09:00:00Z").as_deref(), Some("2026-07-04T08:00:00Z"));
        assert_eq!(until(&weekend, "2026-07-04T09:00:00Z"), None);
        assert_eq!(until(&weekend, "2026-07-04T18:00:00Z").as_deref(), Some("2026-07-11T08:00:00Z"));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let friday = window(&[Weekday::Friday], "23:00", "02:00", "UTC");
        assert_eq!(until(&friday, "2026-07-04T01:00:00Z"), None);
        assert_eq!(until(&friday, "2026-07-04T23:30:00Z").as_deref(), Some("2026-07-10T23:00:00Z"));
    }
}
