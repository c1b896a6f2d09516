"""The page's looks: colours by the three modes, for light, dark, narrow, wide and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1d232a; --soft: #59636e; --line: #d9dde1; --shade: #f3f4f5;
  --user: #2565ae; --kernel: #a8560b; --guest: #2b7a3d;
  --user-back: #e8f0fa; --kernel-back: #fbeedd; --guest-back: #e5f3e6;
  --by-python: #2565ae; --by-c: #7fb0e6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #dfe4ea; --soft: #98a3af; --line: #333b44; --shade: #1c2228;
    --user: #7db4f0; --kernel: #eea65a; --guest: #7ecb8d;
    --user-back: #1a2b40; --kernel-back: #38281a; --guest-back: #1a3322;
    --by-python: #4a86cc; --by-c: #b9d8fa;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.5rem 0 1rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .4rem; display: flex; flex-wrap: wrap; gap: 0 1rem;
  justify-content: space-between; }
h3 span, .time { font-weight: normal; color: var(--soft); font-variant-numeric: tabular-nums; }
p { margin: .5rem 0; }
code, pre { font: .9em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; white-space: pre-wrap; }
pre { margin: .5rem 0; padding: .7rem .9rem; background: var(--shade);
  border: 1px solid var(--line); border-radius: 4px; }
.facts, .lesson, figcaption { color: var(--soft); }
.lesson { margin: .15rem 0 0; font-size: .94rem; max-width: 44rem; }
cite { font-style: normal; font-size: .85em; white-space: nowrap; padding: 0 .35em;
  border: 1px solid var(--line); border-radius: 3px; }
.modes { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem;
  margin: .8rem 0; }
.modes div { padding: .5rem .8rem; border-left: 4px solid; border-radius: 0 4px 4px 0; }
.modes dt { font-weight: bold; }
.modes dd { margin: 0; color: var(--ink); }
.user { color: var(--user); border-color: var(--user); background: var(--user-back); }
.kernel { color: var(--kernel); border-color: var(--kernel); background: var(--kernel-back); }
.guest { color: var(--guest); border-color: var(--guest); background: var(--guest-back); }
.setup { padding-left: 2rem; }
.setup li { margin: 0 0 .9rem; break-inside: avoid; }
.setup li::marker { color: var(--soft); }
.call { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
.call code { font-weight: 600; }
.bar { height: 3px; margin: .1rem 0 .25rem; background: var(--kernel); }
.turn, .fold { margin: 0 0 1.1rem; padding-top: .6rem; border-top: 1px solid var(--line);
  break-inside: avoid; }
.fold { padding: .6rem .8rem; background: var(--shade); border-radius: 4px; }
.fold ul { margin: 0; padding-left: 1.2rem; color: var(--soft); }
.line { margin: 0 0 .3rem; padding: .25rem .7rem; width: 76%; border-left: 4px solid;
  border-radius: 0 4px 4px 0; color: var(--ink); overflow-wrap: anywhere; }
.line b { display: inline-block; min-width: 4.2rem; }
.line.user b { color: var(--user); }
.line.kernel b { color: var(--kernel); }
.line.guest b { color: var(--guest); }
.line.user { border-color: var(--user); }
.line.kernel { border-color: var(--kernel); margin-left: 12%; }
.line.guest { border-color: var(--guest); margin-left: 24%; }
figure { margin: 0 0 1.5rem; }
figcaption { font-size: .94rem; max-width: 48rem; }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; }
svg text { font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg text.time { font-size: 13px; fill: var(--soft); }
svg text.number { font-weight: 600; }
svg text.action { font-size: 13px; }
svg .lane { fill: var(--shade); }
svg .kernel-end { stop-color: var(--kernel-back); }
svg .guest-end { stop-color: var(--guest-back); }
svg .inside { fill: url(#both); stroke: var(--soft); stroke-width: 1; }
svg .by-python { fill: var(--by-python); }
svg .by-c { fill: var(--by-c); }
svg .mark { stroke: var(--by-python); stroke-width: 1.5; fill: none; }
svg .mark.by-c { stroke: var(--by-c); }
svg .tick { stroke: var(--soft); fill: none; }
@media (max-width: 40rem) {
  .line, .line.kernel, .line.guest { width: auto; margin-left: 0; }
  .setup { padding-left: 1.6rem; }
}
@media print {
  :root { color-scheme: light;
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --shade: #f2f2f2;
    --user: #1c4f8a; --kernel: #864307; --guest: #1f5f2d;
    --user-back: #eef3fa; --kernel-back: #fbf1e5; --guest-back: #edf6ee;
    --by-python: #1c4f8a; --by-c: #7fb0e6; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  svg { min-width: 0; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
