// The fields of the property `impairment`, for those who set it: parseImpairmentProperty reads what they mean together.
import type { PropertyField } from '../../extension.ts'
import { BURST_MAX, LIMIT_BYTES_MAX, LIMIT_MAX } from './options.ts'
import { profileNames } from './profiles.ts'
import { distributions } from './random.ts'

const GAP_MAX = 1_000_000

export const impairmentFields: readonly PropertyField[] = [
  {
    name: 'direction',
    type: 'choice',
    choices: ['egress', 'ingress', 'both'],
    description: 'Frames to the port (egress), from it (ingress), or both; egress without it, of a profile both.',
  },
  {
    name: 'profile',
    type: 'choice',
    choices: [...profileNames],
    description: 'A line that is known by name: its rates and its delay, where none are given.',
  },
  { name: 'match', type: 'text', min: 1, max: 4096, description: "Which frames, in tcpdump's words; all without it." },
  { name: 'state', type: 'choice', choices: ['up', 'down'], description: 'down: the line is cut.' },
  { name: 'delay', type: 'quantity', description: 'Such as 20ms, 250us or 1s.' },
  { name: 'jitter', type: 'quantity', description: 'How far delays differ, such as 5ms.' },
  {
    name: 'delayCorrelation',
    type: 'quantity',
    advanced: true,
    description: 'How much a delay is like the last one, in percent.',
  },
  { name: 'distribution', type: 'choice', choices: [...distributions], advanced: true, description: 'Of the jitter.' },
  { name: 'keepOrder', type: 'boolean', advanced: true, description: 'No frame overtakes another, whatever its delay.' },
  { name: 'loss', type: 'quantity', description: 'Of the frames, in percent, such as 1.5%.' },
  { name: 'lossCorrelation', type: 'quantity', advanced: true, description: 'How much losses come together, in percent.' },
  {
    name: 'gemodel',
    type: 'json',
    advanced: true,
    description: 'Losses in bursts: p, r, 1-h and 1-k of the model of Gilbert and Elliott.',
  },
  { name: 'duplicate', type: 'quantity', description: 'Frames that come twice, in percent.' },
  { name: 'duplicateCorrelation', type: 'quantity', advanced: true, description: 'How much they come together, in percent.' },
  { name: 'corrupt', type: 'quantity', description: 'Frames with a wrong bit, in percent; for ingress only.' },
  { name: 'corruptCorrelation', type: 'quantity', advanced: true, description: 'How much they come together, in percent.' },
  { name: 'reorder', type: 'quantity', description: 'Frames that are not delayed as the others are, in percent.' },
  { name: 'reorderCorrelation', type: 'quantity', advanced: true, description: 'How much they come together, in percent.' },
  { name: 'gap', type: 'integer', min: 0, max: GAP_MAX, advanced: true, description: 'Only each so many frames is sent ahead.' },
  { name: 'rate', type: 'quantity', description: 'Bits a second, such as 10mbit.' },
  {
    name: 'burst',
    type: 'integer',
    min: 0,
    max: BURST_MAX,
    advanced: true,
    description: 'Bytes that may go at once after a pause.',
  },
  { name: 'limit', type: 'integer', min: 1, max: LIMIT_MAX, advanced: true, description: 'Frames that are held at the most.' },
  {
    name: 'limitBytes',
    type: 'integer',
    min: 1,
    max: LIMIT_BYTES_MAX,
    advanced: true,
    description: 'Bytes that are held at the most.',
  },
  {
    name: 'schedule',
    type: 'json',
    advanced: true,
    description: 'Steps of { duration, and settings }, instead of settings beside it.',
  },
  { name: 'repeat', type: 'boolean', default: true, advanced: true, description: 'The steps begin again after the last.' },
]
