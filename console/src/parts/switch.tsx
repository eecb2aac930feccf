// What is on or off, to look at and to change.
import './switch.css'

interface SwitchProps {
  readonly on: boolean
  readonly disabled: boolean
  readonly label: string
  readonly onChange: (on: boolean) => void
}

export const Switch = ({ on, disabled, label, onChange }: SwitchProps) => (
  <button
    type="button"
    role="switch"
    class="toggle"
    aria-checked={on}
    aria-label={label}
    disabled={disabled}
    onClick={() => onChange(!on)}
  >
    <span />
  </button>
)
