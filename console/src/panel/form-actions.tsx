// The end of a form of a property: its button to save, and the one that takes away what is there.

interface FormActionsProps {
  /** What saving is called while there is nothing to change yet: "Add the property". */
  readonly add: string
  /** False: there is nothing yet. */
  readonly exists: boolean
  readonly disabled: boolean
  readonly onRemove: () => void
}

export function FormActions({ add, exists, disabled, onRemove }: FormActionsProps) {
  return (
    <div class="form-actions">
      <button type="submit" class="primary" disabled={disabled}>
        {exists ? 'Save' : add}
      </button>
      {exists && (
        <button type="button" onClick={onRemove}>
          Remove
        </button>
      )}
    </div>
  )
}
