// A PowerShell module made from the table of cmdlets: each is an advanced function that calls the command line with --json and answers with
// objects.
//
// The rule it must not break: the module knows nothing that is not in the table, so that it can't differ from the command line.
import type { Cmdlet, Parameter } from './cmdlet.ts'
import { cmdlets } from './cmdlets.ts'

/** Identifies the module; the same in all versions. */
const MODULE_GUID = '6a2f3c0e-8f5d-4f0b-9a39-0b7f8a4d5c11'
/** Parameters that objects of a pipeline name: whose adapter, which extension. */
const fromPipeline: ReadonlySet<string> = new Set(['Name', 'VMName', 'VMNetworkAdapterName', 'VMSwitchName', 'SwitchName'])
const types = {
  string: 'string',
  switch: 'switch',
  bool: 'bool',
  int: 'long',
  guid: 'guid',
  mac: 'string',
  json: 'object',
} as const

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`
const listOf = (texts: readonly string[]): string => texts.map(quoted).join(', ')

/** The text of a comment: what would end it is taken apart. */
const commented = (text: string): string => text.replaceAll('#>', '# >')

function parameterLines({ name, type, list, mandatory, position, aliases = [], values, min, max }: Parameter): string[] {
  const attributes = [
    ...(position === undefined ? [] : [`Position = ${position}`]),
    ...(mandatory ? ['Mandatory'] : []),
    ...(fromPipeline.has(name) ? ['ValueFromPipelineByPropertyName'] : []),
  ]
  return [
    `[Parameter(${attributes.join(', ')})]`,
    ...(aliases.length === 0 ? [] : [`[Alias(${listOf(aliases)})]`]),
    ...(values === undefined ? [] : [`[ValidateSet(${listOf(values)})]`]),
    ...(type === 'int' && max !== undefined ? [`[ValidateRange(${min ?? 0}, ${max})]`] : []),
    `[${types[type]}${list ? '[]' : ''}]$${name}`,
  ]
}

const socket: Parameter = { name: 'Socket', type: 'string', own: true, help: 'Control socket of the switch.' }
const passthru: Parameter = { name: 'Passthru', type: 'switch', help: 'Answer with what was changed.' }

/** What the function takes; -WhatIf and -Confirm are PowerShell's own. */
export const functionParameters = (cmdlet: Cmdlet): readonly Parameter[] => [
  ...cmdlet.parameters,
  ...(cmdlet.passthru ? [passthru] : []),
  socket,
]

const indented = (lines: readonly string[], by: string): string[] => lines.map((line) => (line === '' ? '' : `${by}${line}`))

function functionLines(cmdlet: Cmdlet): string[] {
  const all = functionParameters(cmdlet)
  const json = all.filter(({ type }) => type === 'json').map(({ name }) => name)
  const isForced = all.some(({ name }) => name === 'Force')
  const should = cmdlet.changes ? `, SupportsShouldProcess${isForced ? ", ConfirmImpact = 'High'" : ''}` : ''
  const call = [
    `$answer = @{ Cmdlet = ${quoted(cmdlet.name)}; Given = $PSBoundParameters; Json = @(${listOf(json)}) }`,
    ...(isForced ? ['$PSBoundParameters["Force"] = [switch]$true'] : []),
    'Invoke-Vmswitch @answer',
  ]
  const target = `$PSCmdlet.ShouldProcess('the switch', ${quoted(cmdlet.synopsis)})`
  return [
    `function ${cmdlet.name} {`,
    '    <#',
    ...indented(
      [
        '.SYNOPSIS',
        cmdlet.synopsis,
        '.DESCRIPTION',
        `Stands for: ${cmdlet.native}`,
        ...all.flatMap(({ name, help, own }) => [`.PARAMETER ${name}`, `${help}${own ? ' Not of Hyper-V.' : ''}`]),
        ...(cmdlet.example === undefined ? [] : ['.EXAMPLE', cmdlet.example]),
      ].map(commented),
      '    ',
    ),
    '    #>',
    `    [CmdletBinding(PositionalBinding = $false${should})]`,
    '    param(',
    ...all.flatMap((parameter, i) => {
      const lines = parameterLines(parameter)
      const last = lines.length - 1
      return indented(
        lines.map((line, at) => (at === last && i < all.length - 1 ? `${line},` : line)),
        '        ',
      )
    }),
    '    )',
    '    process {',
    ...(cmdlet.changes
      ? [`        if (${isForced ? `$Force -or ${target}` : target}) {`, ...indented(call, '            '), '        }']
      : indented(call, '        ')),
    '    }',
    '}',
  ]
}

/** Calls the program: lists by comma, objects as JSON, errors as errors of PowerShell. */
const invoke = `function Invoke-Vmswitch {
    param([string]$Cmdlet, [System.Collections.IDictionary]$Given, [string[]]$Json)
    $common = @([System.Management.Automation.PSCmdlet]::CommonParameters) + @([System.Management.Automation.PSCmdlet]::OptionalCommonParameters)
    $words = @($Cmdlet, '--json')
    foreach ($name in $Given.Keys) {
        $value = $Given[$name]
        if ($common -contains $name -or $null -eq $value) { continue }
        if ($name -eq 'Socket') { $words += @('--socket', [string]$value) }
        elseif ($value -is [switch] -or $value -is [bool]) { $words += ('-{0}:{1}' -f $name, ([bool]$value).ToString().ToLowerInvariant()) }
        elseif ($Json -contains $name) { $words += ('-{0}:{1}' -f $name, (ConvertTo-Json -InputObject $value -Depth 32 -Compress)) }
        else {
            $text = @($value | ForEach-Object { [string]$_ }) -join ','
            if ($text -ne '') { $words += ('-{0}:{1}' -f $name, $text) }
        }
    }
    $program = if ($env:VMSWITCH_PROGRAM) { $env:VMSWITCH_PROGRAM } else { 'vmswitch' }
    $text = (& $program @words) -join [System.Environment]::NewLine
    $failed = $LASTEXITCODE -ne 0
    $answer = if ($text -ne '') { $text | ConvertFrom-Json } else { $null }
    if (-not $failed) { return $answer }
    if ($null -eq $answer) { throw ('vmswitch ended with {0}' -f $LASTEXITCODE) }
    $message = (@($answer.error.message, $answer.error.hint) | Where-Object { $_ }) -join '; '
    Write-Error -Message $message -ErrorId $answer.error.code -Category InvalidOperation -TargetObject $Cmdlet
}`

/** The text of vmswitch.psm1. */
export function moduleScript(): string {
  const names = cmdlets.map(({ name }) => name)
  return [
    '# Made by vmswitch powershell-module; do not change it.',
    'Set-StrictMode -Version 3',
    '',
    invoke,
    '',
    ...cmdlets.flatMap((cmdlet) => [...functionLines(cmdlet), '']),
    `Export-ModuleMember -Function ${listOf(names)}`,
    '',
  ].join('\n')
}

/** The text of vmswitch.psd1. */
export function moduleManifest(version: string): string {
  const names = cmdlets.map(({ name }) => `        ${quoted(name)}`).join(',\n')
  return [
    '@{',
    "    RootModule = 'vmswitch.psm1'",
    `    ModuleVersion = ${quoted(version)}`,
    `    GUID = ${quoted(MODULE_GUID)}`,
    "    Description = 'The cmdlets of Hyper-V for the switch of vmswitch'",
    "    PowerShellVersion = '7.2'",
    "    CompatiblePSEditions = @('Core')",
    '    FunctionsToExport = @(',
    names,
    '    )',
    '    CmdletsToExport = @()',
    '    AliasesToExport = @()',
    '}',
    '',
  ].join('\n')
}
