//! Small renderings that several commands share.

use oxkeeper_replica::output::Mode;
use oxkeeper_types::Millis;

/// As `srvr` and `mntr` name it.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standalone => "standalone",
        Mode::Leader => "leader",
        Mode::Follower => "follower",
        Mode::Observer => "observer",
        Mode::ReadOnly => "read-only",
        // Nobody is told: there is no answer then.
        Mode::Looking => "looking",
    }
}

/// An average as the reference prints it: at most four decimals, at least one.
pub fn average(value: f64) -> String {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    if rounded == rounded.trunc() { format!("{rounded:.1}") } else { format!("{rounded}") }
}

/// A date as Java's `Date.toString` prints it in UTC: `Tue Nov 24 01:23:10 UTC 2026`.
pub fn date(at: Millis) -> String {
    let seconds = at.0.div_euclid(1000);
    let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (h, m, s) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{weekday} {} {day:02} {h:02}:{m:02}:{s:02} UTC {year}", months[month as usize - 1])
}

/// Year, month and day of a number of days since 1970 (the proleptic Gregorian calendar, in eras of 400 years that begin
/// in March, so that the leap day is the last of its year).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_have_one_to_four_decimals() {
        assert_eq!([0.0, 2.0, 2.5, 1.0 / 3.0].map(average), ["0.0", "2.0", "2.5", "0.3333"]);
    }

    #[test]
    fn dates_read_as_javas() {
        assert_eq!(date(Millis(1_795_483_390_000)), "Tue Nov 24 01:23:10 UTC 2026");
        assert_eq!(date(Millis(0)), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date(Millis(951_782_400_000)), "Tue Feb 29 00:00:00 UTC 2000");
    }
}
