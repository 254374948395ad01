// Dates as C's strftime writes them, in its own locale.

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const LONGEST = 1000
const DAY = 86_400_000

/** @param date in the zone of this machine. Throws an Error for a format that is longer than any real one. */
export function formatDate(date: Date, format: string): string {
  if (format.length > LONGEST) throw new Error(`a format of ${format.length} characters for a date, expected at most ${LONGEST}`)
  return format.replace(/%([-_0^#]?)([a-zA-Z%])/g, (whole, flag: string, letter: string) => {
    const found = part(date, letter)
    if (found === undefined) return whole
    if (flag === '-') return found.replace(/^[0 ]+(?=\d)/, '')
    if (flag === '_') return found.replace(/^0+(?=\d)/, (zeros) => ' '.repeat(zeros.length))
    return flag === '^' ? found.toUpperCase() : found
  })
}

const two = (number: number) => String(number).padStart(2, '0')

function part(date: Date, letter: string): string | undefined {
  const [year, month, day, weekday] = [date.getFullYear(), date.getMonth(), date.getDate(), date.getDay()]
  const yearDay = Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / DAY)
  const all = (format: string) => formatDate(date, format)
  switch (letter) {
    case 'a':
      return DAYS[weekday]!.slice(0, 3)
    case 'A':
      return DAYS[weekday]!
    case 'b':
    case 'h':
      return MONTHS[month]!.slice(0, 3)
    case 'B':
      return MONTHS[month]!
    case 'c':
      return all('%a %b %e %H:%M:%S %Y')
    case 'C':
      return two(Math.floor(year / 100))
    case 'd':
      return two(day)
    case 'D':
    case 'x':
      return all('%m/%d/%y')
    case 'e':
      return String(day).padStart(2, ' ')
    case 'f':
      return `${String(date.getMilliseconds()).padStart(3, '0')}000`
    case 'F':
      return all('%Y-%m-%d')
    case 'H':
      return two(date.getHours())
    case 'I':
      return two(date.getHours() % 12 || 12)
    case 'j':
      return String(yearDay + 1).padStart(3, '0')
    case 'm':
      return two(month + 1)
    case 'M':
      return two(date.getMinutes())
    case 'n':
      return '\n'
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM'
    case 'R':
      return all('%H:%M')
    case 'S':
      return two(date.getSeconds())
    case 's':
      return String(Math.floor(date.getTime() / 1000))
    case 't':
      return '\t'
    case 'T':
    case 'X':
      return all('%H:%M:%S')
    case 'u':
      return String(weekday || 7)
    case 'U':
      return two(Math.floor((yearDay + 7 - weekday) / 7))
    case 'w':
      return String(weekday)
    case 'W':
      return two(Math.floor((yearDay + 7 - ((weekday + 6) % 7)) / 7))
    case 'y':
      return two(year % 100)
    case 'Y':
      return String(year)
    case 'z':
    case 'Z':
      return '' // a date without a zone, as transformers takes it
    case '%':
      return '%'
    default:
      return undefined
  }
}
