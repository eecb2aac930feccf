// The house that stands for vmswitch.
export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <path d="M4 14 16 4l12 10v14H4z" />
    <path class="lines" d="M9 17h14M9 22h14" />
  </svg>
)
