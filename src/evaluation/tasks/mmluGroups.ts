// The four groups of MMLU's 57 subjects, as lm-eval has them, and the accuracies of subjects and groups. Pure.

import { type Accuracy, type AccuracyOf, type AnswerCount, pooled } from './taskScores.js'

const groups: Readonly<Record<string, readonly string[]>> = {
  stem: [
    'abstract_algebra',
    'anatomy',
    'astronomy',
    'college_biology',
    'college_chemistry',
    'college_computer_science',
    'college_mathematics',
    'college_physics',
    'computer_security',
    'conceptual_physics',
    'electrical_engineering',
    'elementary_mathematics',
    'high_school_biology',
    'high_school_chemistry',
    'high_school_computer_science',
    'high_school_mathematics',
    'high_school_physics',
    'high_school_statistics',
    'machine_learning',
  ],
  humanities: [
    'formal_logic',
    'high_school_european_history',
    'high_school_us_history',
    'high_school_world_history',
    'international_law',
    'jurisprudence',
    'logical_fallacies',
    'moral_disputes',
    'moral_scenarios',
    'philosophy',
    'prehistory',
    'professional_law',
    'world_religions',
  ],
  social_sciences: [
    'econometrics',
    'high_school_geography',
    'high_school_government_and_politics',
    'high_school_macroeconomics',
    'high_school_microeconomics',
    'high_school_psychology',
    'human_sexuality',
    'professional_psychology',
    'public_relations',
    'security_studies',
    'sociology',
    'us_foreign_policy',
  ],
  other: [
    'business_ethics',
    'clinical_knowledge',
    'college_medicine',
    'global_facts',
    'human_aging',
    'management',
    'marketing',
    'medical_genetics',
    'miscellaneous',
    'nutrition',
    'professional_accounting',
    'professional_medicine',
    'virology',
  ],
}

/** Accuracies of the subjects in the order of their names, of the groups that have any, and of all. */
export function subjectAccuracies(counts: ReadonlyMap<string, AnswerCount>): {
  readonly subjects: readonly AccuracyOf[]
  readonly groups: readonly AccuracyOf[]
  readonly acc: Accuracy
} {
  const subjects = [...counts.entries()]
    .map(([name, { items, accuracy }]): AccuracyOf => ({ name, items, acc: accuracy }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const grouped = Object.entries(groups).flatMap(([name, members]): AccuracyOf[] => {
    const parts = subjects.filter((subject) => members.includes(subject.name))
    return parts.length === 0 ? [] : [{ name, items: parts.reduce((sum, { items }) => sum + items, 0), acc: pooled(parts) }]
  })
  return { subjects, groups: grouped, acc: pooled(subjects) }
}
