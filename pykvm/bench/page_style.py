"""The report's looks, for light, dark, narrow, wide and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1d232a; --soft: #59636e; --line: #d9dde1; --shade: #f3f4f5;
  --bar: #9dbfe4; --curve: #1f5ea8; --round: #8f9aa6; --mark: #b0500a;
  --good: #2b7a3d; --bad: #b3261e; --good-back: #e5f3e6; --bad-back: #fbe7e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #dfe4ea; --soft: #98a3af; --line: #333b44; --shade: #1c2228;
    --bar: #34557c; --curve: #7db4f0; --round: #77828e; --mark: #f0a35c;
    --good: #7ecb8d; --bad: #f2938c; --good-back: #1a3322; --bad-back: #3d1f1d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 0; display: flex; flex-wrap: wrap; gap: 0 1rem;
  justify-content: space-between; }
h3 code { font-weight: normal; color: var(--soft); }
p { margin: .5rem 0; max-width: 50rem; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: .94rem; }
.verdict { padding: .5rem .9rem; border-left: 4px solid; border-radius: 0 4px 4px 0; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict.good { background: var(--good-back); border-color: var(--good); color: var(--ink); }
.verdict.bad { background: var(--bad-back); border-color: var(--bad); color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: .9rem; }
th:first-child, td:first-child { text-align: left; white-space: normal; padding-left: 0; }
td small { display: block; color: var(--soft); font-size: .82rem; }
td.words { text-align: left; white-space: normal; color: var(--soft); font-size: .9rem; }
td.main { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
section { margin: 0 0 1.6rem; padding: .9rem 1rem 1rem; border: 1px solid var(--line);
  border-radius: 6px; break-inside: avoid; }
section p { margin: .2rem 0 .5rem; }
figure { margin: 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); gap: 1rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg text.soft { fill: var(--soft); font-size: 12px; }
svg .grid { stroke: var(--line); fill: none; }
svg .axis { stroke: var(--soft); fill: none; }
svg .bar { fill: var(--bar); }
svg .curve { stroke: var(--curve); stroke-width: 2; fill: none; }
svg .round { stroke: var(--round); stroke-width: 1; fill: none; opacity: .7; }
svg .dot { fill: var(--curve); }
svg .ring { fill: var(--paper); stroke: var(--curve); stroke-width: 2; }
svg .span { stroke: var(--curve); stroke-width: 2; fill: none; }
svg .thick { stroke: var(--curve); stroke-width: 6; fill: none; opacity: .45; }
svg .mark { stroke: var(--mark); stroke-width: 1.5; stroke-dasharray: 4 3; fill: none; }
svg text.mark-words { fill: var(--mark); font-size: 12px; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  .pictures { grid-template-columns: 1fr; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --shade: #f2f2f2; --bar: #b9d0ea; --curve: #1c4f8a; --round: #888; --mark: #864307;
    --good: #1f5f2d; --bad: #8c1d18; --good-back: #edf6ee; --bad-back: #fbeeed; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
