"""How the page looks, in light and in dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2329; --quiet: #56616b; --grid: #d3dae0; --card: #f3f6f8;
  --series-0: #16708f; --series-1: #b8520a; --series-2: #6a55b5; --series-3: #6f7a84;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e4e9ed; --quiet: #a3afb9; --grid: #3a444d; --card: #1d2329;
    --series-0: #58b7d8; --series-1: #f0a05a; --series-2: #b5a3ee; --series-3: #8e9aa5;
  }
  svg image { filter: brightness(1.45); }
}
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
.quiet, figcaption, summary { color: var(--quiet); }
figure { margin: .5rem 0 1.25rem; }
figcaption { font-size: .92rem; max-width: 46rem; }
figure > svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; }
dl.facts div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
ul.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.75rem, 1fr));
  gap: .75rem; padding: 0; margin: .5rem 0; list-style: none; }
ul.samples li { background: var(--card); border-radius: .5rem; padding: .5rem; font-size: .82rem;
  line-height: 1.35; overflow-wrap: anywhere; }
ul.samples img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  margin-bottom: .35rem; }
img.small { image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--grid);
  white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; }
"""
