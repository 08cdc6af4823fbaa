/** RFC 9110 section 5.6.7: the form of today, that of RFC 850, and that of C's asctime. */
const FORMS = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>[\d:]{8}) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>[\d:]{8}) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>[\d:]{8}) (?<year>\d{4})$/,
];

/**
 * A date as HTTP writes it, in whole seconds since 1970. Undefined for anything else, also for days
 * that no calendar has. The name of the weekday is not compared.
 */
export function parseHttpDate(text: string): number | undefined {
  for (const form of FORMS) {
    const { day, month, year, time } = form.exec(text)?.groups ?? {};
    if (!day || !month || !year || !time) continue;
    const date = `${day.replace(' ', '0')} ${month} ${fullYear(year)} ${time} GMT`;
    const ms = Date.parse(date);
    // Date.parse takes a 31st of February for a day in March: written again, it differs.
    const isReal = !Number.isNaN(ms) && new Date(ms).toUTCString().slice('Sun, '.length) === date;
    return isReal ? ms / 1_000 : undefined;
  }
  return undefined;
}

/** Two digits mean the year of this century, unless that is more than 50 years ahead. */
function fullYear(digits: string): string {
  if (digits.length === 4) return digits;
  const year = 2_000 + Number(digits);
  return String(year > new Date().getUTCFullYear() + 50 ? year - 100 : year);
}
