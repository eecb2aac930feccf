import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CliError } from '../exit.ts'
import type { Cmdlet } from './cmdlet.ts'
import { parametersOf, refusedEverywhere } from './cmdlet.ts'
import { absentCmdlets, cmdletOf, cmdlets } from './cmdlets.ts'
import { listLines, tableLines } from './output.ts'
import { readParameters, syntaxLine } from './parameters.ts'
import { isLike } from './targets.ts'

const cmdlet: Cmdlet = {
  name: 'Set-VMThing',
  synopsis: '',
  native: '',
  changes: true,
  parameters: [
    { name: 'VMName', type: 'string', list: true, position: 0, mandatory: true, help: '' },
    { name: 'VlanId', type: 'int', max: 4094, help: '', aliases: ['AccessVlanId'] },
    { name: 'Mode', type: 'string', values: ['Native', 'None'], help: '' },
    { name: 'Trunk', type: 'switch', help: '' },
    { name: 'Stateful', type: 'bool', help: '' },
    { name: 'Mac', type: 'mac', help: '' },
    { name: 'Id', type: 'guid', help: '' },
    { name: 'Data', type: 'json', help: '' },
    { name: 'Limit', type: 'int', max: 2 ** 40, help: '' },
  ],
  refused: { VmqWeight: 'is a matter of the configuration' },
  run: async () => [],
}
const read = (...words: string[]) => readParameters(cmdlet, words)
const refused = (words: string[], message: RegExp, hint = /./): void =>
  assert.throws(
    () => read(...words),
    (error: unknown) => {
      assert.ok(error instanceof CliError)
      assert.equal(error.exitCode, 2)
      assert.match(error.message, message)
      assert.match(error.hint, hint)
      return true
    },
  )

describe('parameters are read as PowerShell reads them', () => {
  test('in any case, cut short, by an alias, with a colon, or by their place', () => {
    const given = read('web,db', '-vlan', '7', '-TR', '-STATEFUL:$false', '-mo', 'native')
    assert.deepEqual(given.texts('VMName'), ['web', 'db'])
    assert.equal(given.number('VlanId'), 7)
    assert.equal(given.flag('Trunk'), true)
    assert.equal(given.bool('Stateful'), false)
    assert.equal(given.text('Mode'), 'Native')
    assert.equal(read('a', '-AccessVlanId:9').number('VlanId'), 9)
    assert.equal(read('a', '-Trunk:$false').flag('Trunk'), false)
  })

  test('lists are joined wherever the shell cut them', () => {
    assert.deepEqual(read('-VMName', 'a,', 'b', ',c').texts('VMName'), ['a', 'b', 'c'])
    assert.deepEqual(read('a,', 'b').texts('VMName'), ['a', 'b'])
    refused(['a,,b'], /empty place/)
  })

  test('numbers have PowerShell’s units, addresses and GUIDs any of their forms', () => {
    assert.equal(read('a', '-Limit', '2GB').number('Limit'), 2 ** 31)
    assert.equal(read('a', '-Limit', '0x10').number('Limit'), 16)
    assert.equal(read('a', '-Mac', '00-15-5D-01-02-03').text('Mac'), '00:15:5d:01:02:03')
    assert.equal(read('a', '-Mac', '00155D010203').text('Mac'), '00:15:5d:01:02:03')
    const id = '952c5004-4465-451c-8cb8-fa9ab382b773'
    assert.equal(read('a', '-Id', `{${id.toUpperCase()}}`).text('Id'), id)
    assert.deepEqual(read('a', '-Data', '{"a":[1]}').value('Data'), { a: [1] })
  })

  test('what is wrong is refused, with what would be right', () => {
    refused([], /-VMName must be given/, /Set-VMThing \[-VMName\] <String\[\]> \[-VlanId <Int64>\]/)
    refused(['a', 'b'], /"b" has no place/)
    refused(['a', '-VlanId', '4095'], /whole number from 0 to 4094, not "4095"/)
    refused(['a', '-VlanId', '-Trunk'], /-VlanId needs a value/)
    refused(['a', '-Mode', 'Some'], /-Mode is Native, None, not "Some"/)
    refused(['a', '-Trnk'], /no parameter -Trnk/, /did you mean -Trunk\?/)
    refused(['a', '-VM', 'x'], /-VM takes an object of PowerShell/)
    refused(['a', '-vmq', '3'], /-VmqWeight is a matter of the configuration/)
    refused(['a', '-V', '3'], /-V could be -VMName, -VlanId, -VmqWeight/)
    refused(['a', '-ComputerName', 'x'], /choose the switch with --socket/)
    refused(['a', '-Trunk', '-Trunk'], /given twice/)
    refused(['a', '-Trunk:$maybe'], /\$true or \$false/)
    refused(['a', '-Data', '{'], /is JSON, and this is not/)
  })
})

test('the table is sound: names once, places without gaps, no parameter both taken and refused', () => {
  const names = [...cmdlets.map(({ name }) => name), ...Object.keys(absentCmdlets)].map((name) => name.toLowerCase())
  assert.equal(new Set(names).size, names.length)
  for (const one of cmdlets) {
    const all = parametersOf(one)
    const words = all.flatMap(({ name, aliases = [] }) => [name, ...aliases]).map((name) => name.toLowerCase())
    assert.equal(new Set(words).size, words.length, `${one.name}: ${words}`)
    for (const name of Object.keys({ ...refusedEverywhere, ...one.refused }))
      assert.ok(!words.includes(name.toLowerCase()), `${one.name} -${name}`)
    const places = all.flatMap(({ position }) => (position === undefined ? [] : [position]))
    assert.equal(new Set(places).size, places.length, one.name)
    for (const { name, help, mandatory, type } of all) {
      assert.ok(help.endsWith('.'), `${one.name} -${name}`)
      assert.ok(!(mandatory && type === 'switch'), `${one.name} -${name}`)
    }
    assert.match(one.native, /^vmswitch /)
    assert.ok(one.synopsis.endsWith('.'))
    if (one.example !== undefined) readParameters(one, one.example.split(' ').slice(1))
    assert.equal(syntaxLine(one).split(' ')[0], one.name)
  }
})

test('a cmdlet is found in any case; one that is not there is refused with what to do instead', () => {
  assert.equal(cmdletOf('get-vmswitch').name, 'Get-VMSwitch')
  assert.throws(() => cmdletOf('Rename-VMSwitch'), {
    message: 'vmswitch does not have Rename-VMSwitch',
    hint: /vmswitch apply FILE/,
  })
  assert.throws(() => cmdletOf('Get-VMSwich'), { hint: 'did you mean "Get-VMSwitch"?' })
})

test('answers are shown as PowerShell shows them', () => {
  assert.deepEqual(tableLines(['Name', 'Weight'], [{ Name: 'web', Weight: 10, More: 1 }]), [
    'Name  Weight',
    '----  ------',
    'web       10',
  ])
  assert.deepEqual(
    listLines([
      { Name: 'a', Connected: true },
      { Name: 'b', List: [1, 2], Setting: { Mode: 'x' }, None: null },
    ]),
    ['Name      : a', 'Connected : True', '', 'Name    : b', 'List    : {1, 2}', 'Setting : @{Mode=x}', 'None    :'],
  )
})

test('names fit patterns with wildcards, in any case, and nothing else of a pattern is special', () => {
  assert.ok(isLike('Web-01', 'web-*'))
  assert.ok(isLike('a.b', 'a?b'))
  assert.ok(!isLike('axb', 'a.b'))
  assert.ok(!isLike('web', 'we'))
})
