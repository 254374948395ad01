// Prompts whose answers quote them, and prompts whose answers do not, with the answers as a good model would write
// them: code that is edited, questions to a text, forms in JSON; and talk. For drafts.mjs, which replays them.

const counter = `export class Counter {
  #values = new Map()

  constructor(limit) {
    this.limit = limit
  }

  add(name, value = 1) {
    const sum = (this.#values.get(name) ?? 0) + value
    if (sum > this.limit) throw new RangeError(\`\${name} is \${sum}, more than \${this.limit}\`)
    this.#values.set(name, sum)
    return sum
  }
}`

const parse = `def parse_line(line):
    parts = line.strip().split(",")
    if len(parts) != 3:
        raise ValueError(f"expected three fields, found {len(parts)}")
    name, amount, currency = parts
    return {"name": name, "amount": float(amount), "currency": currency.upper()}

def parse_file(path):
    with open(path) as file:
        return [parse_line(line) for line in file if line.strip()]`

const styles = `.card {
  display: flex;
  flex-direction: column;
  padding: 12px 16px;
  border: 1px solid #d0d7de;
  border-radius: 6px;
}

.card > header {
  font-weight: 600;
  margin-bottom: 8px;
}`

const query = `SELECT customers.name, COUNT(orders.id) AS orders, SUM(orders.total) AS total
FROM customers
JOIN orders ON orders.customer_id = customers.id
WHERE orders.created_at >= '2024-01-01'
GROUP BY customers.name
ORDER BY total DESC
LIMIT 10;`

const config = `server:
  host: 0.0.0.0
  port: 8080
  timeout: 30
database:
  url: postgres://localhost:5432/shop
  pool: 10
logging:
  level: info
  format: json`

const article = `The lighthouse on Gannet Point was built in 1861 by the engineer Alice Marlowe, after three ships were lost on the reef in a single winter. Its tower is 42 metres high and stands on a foundation of granite blocks that were brought by barge from the quarry at Tolmen. The first lamp burned rapeseed oil and could be seen for eleven nautical miles; it was replaced by a paraffin burner in 1889, and by an electric light in 1934. The last keeper, Joseph Penrose, left the tower on the second of March 1987, when the light became automatic. Since 1994 the keeper's cottage has been a museum, which is open from April to October and is run by volunteers of the village.`

const report = `Water levels in the Arn valley fell for the third year in a row. The reservoir at Kell held 61 percent of its capacity at the end of September, compared with 74 percent a year before. The authority blames a dry spring and the repair of the northern inlet, which was closed for eleven weeks. From the first of November, farms above the dam may take water on three days a week only. The council of Arnfield has asked for an exception for orchards, whose owners say that young trees would not survive a winter without irrigation.`

const edit = (language, code, task) =>
  `[INST] ${task}\n\n\`\`\`${language}\n${code}\n\`\`\`\nAnswer with the whole file. [/INST] \`\`\`${language}\n`
const ask = (text, question) => `[INST] ${text}\n\n${question} Quote the text where you can. [/INST]`
const form = (text, fields) => `[INST] Fill in this form from the text: ${fields}\n\n${text} [/INST]`

/** Answers that quote their prompts. */
export const quoting = [
  ['rename a method', edit('js', counter, 'Rename the method add to increase.'), counter.replace('add(', 'increase(')],
  ['another default', edit('js', counter, 'Let the default of value be 10.'), counter.replace('value = 1', 'value = 10')],
  [
    'a new method',
    edit('js', counter, 'Add a method size.'),
    `${counter.slice(0, -2)}\n\n  get size() {\n    return this.#values.size\n  }\n}`,
  ],
  ['rename a variable', edit('py', parse, 'Call the variable parts fields.'), parse.replaceAll('parts', 'fields')],
  [
    'four fields',
    edit('py', parse, 'Lines have four fields now, the last is a date.'),
    parse.replace('!= 3', '!= 4').replace('three', 'four').replace('currency = parts', 'currency, date = parts'),
  ],
  ['another color', edit('css', styles, 'Make the border red.'), styles.replace('#d0d7de', 'red')],
  [
    'one more join',
    edit('sql', query, 'Only customers from France.'),
    query.replace("'2024-01-01'", "'2024-01-01'\n  AND customers.country = 'France'"),
  ],
  ['another port', edit('yaml', config, 'Use port 9090 and log warnings only.'), config.replace('8080', '9090').replace('info', 'warning')],
  [
    'who built it',
    ask(article, 'Who built the lighthouse, and why?'),
    'The text says that it "was built in 1861 by the engineer Alice Marlowe, after three ships were lost on the reef in a single winter."',
  ],
  [
    'the tower',
    ask(article, 'What is known of the tower?'),
    'According to the text, "Its tower is 42 metres high and stands on a foundation of granite blocks that were brought by barge from the quarry at Tolmen."',
  ],
  [
    'the lamps',
    ask(article, 'Which lamps has it had?'),
    'Three: "The first lamp burned rapeseed oil and could be seen for eleven nautical miles; it was replaced by a paraffin burner in 1889, and by an electric light in 1934."',
  ],
  [
    'the museum',
    ask(article, 'When can one visit it?'),
    "Since 1994 the keeper's cottage has been a museum, which is open from April to October and is run by volunteers of the village.",
  ],
  [
    'the last keeper',
    ask(article, 'Who was the last keeper?'),
    'The last keeper, Joseph Penrose, left the tower on the second of March 1987, when the light became automatic.',
  ],
  [
    'the reservoir',
    ask(report, 'How full is the reservoir?'),
    'The reservoir at Kell held 61 percent of its capacity at the end of September, compared with 74 percent a year before.',
  ],
  [
    'the reasons',
    ask(report, 'What are the reasons?'),
    'The authority blames "a dry spring and the repair of the northern inlet, which was closed for eleven weeks."',
  ],
  [
    'the exception',
    ask(report, 'What does the council ask for?'),
    'It "has asked for an exception for orchards, whose owners say that young trees would not survive a winter without irrigation."',
  ],
  [
    'a lighthouse as JSON',
    form(article, '{"name": "", "built": 0, "engineer": "", "height": "", "quarry": ""}'),
    '{"name": "The lighthouse on Gannet Point", "built": 1861, "engineer": "Alice Marlowe", "height": "42 metres", "quarry": "Tolmen"}',
  ],
  [
    'a chronicle as JSON',
    form(article, '[{"year": 0, "event": ""}]'),
    '[{"year": 1861, "event": "The lighthouse on Gannet Point was built"}, {"year": 1889, "event": "it was replaced by a paraffin burner"}, {"year": 1934, "event": "it was replaced by an electric light"}, {"year": 1987, "event": "the light became automatic"}]',
  ],
  [
    'a report as JSON',
    form(report, '{"place": "", "capacity": "", "before": "", "reasons": [], "measure": ""}'),
    '{"place": "Kell", "capacity": "61 percent", "before": "74 percent", "reasons": ["a dry spring", "the repair of the northern inlet"], "measure": "farms above the dam may take water on three days a week only"}',
  ],
  [
    'settings as JSON',
    edit('json', config, 'Write this as JSON.'),
    '{"server": {"host": "0.0.0.0", "port": 8080, "timeout": 30}, "database": {"url": "postgres://localhost:5432/shop", "pool": 10}, "logging": {"level": "info", "format": "json"}}',
  ],
]

const say = (text) => `[INST] ${text} [/INST]`

/** Answers that have little in common with their prompts. */
export const talk = [
  [
    'a greeting',
    say('Hello! How are you today?'),
    'Good morning! I am doing well, thank you. It is a pleasure to hear from you. Is there anything that you would like to talk about, or a question with which I could be of help? I know a bit about cooking, history, gardens and music.',
  ],
  [
    'advice',
    say('How do I keep basil alive on my window sill?'),
    'Give it plenty of light but no draught, and water it from below whenever the top of the soil feels dry. Pinch off the tips above a pair of leaves once a week, so that the plant branches, and never let it flower. A pot from the supermarket holds too many seedlings: divide them into three or four groups and plant each by itself.',
  ],
  [
    'a story',
    say('Tell me a short story about a fox.'),
    'A fox once found a mirror in the snow. He had never seen another of his kind, for his mother died when he was small, and so he sat down and waited for the stranger to speak. Hours went by. When the moon rose he said at last: "You are a good listener." From then on he came back every evening, until spring melted the hill away.',
  ],
  [
    'an explanation',
    say('Why is the sky blue?'),
    'Sunlight is a mixture of all colors. On its way through the atmosphere it meets molecules that are far smaller than a wavelength, and these scatter short waves much more strongly than long ones. What reaches our eyes from every direction but the sun is therefore mostly blue; violet would be scattered even better, yet there is less of it and we hardly see it.',
  ],
]
