"""The style of `report.html`: system fonts, light or dark, no script."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d5dae0;
  --band: #f4f6f8; --link: #0b5cad; --warn: #8a4b00; --warn-band: #fff4e0;
  --fail: #b01c1c; --fail-band: #ffebe9; --good: #1a6e35;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e4e8ec; --quiet: #9aa4ae; --line: #353c44;
    --band: #1d2228; --link: #79b8ff; --warn: #f0b35c; --warn-band: #2f2412;
    --fail: #ff8a80; --fail-band: #331a1a; --good: #7fd39a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 66rem;
  background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 {
  font-size: 1.3rem; margin: 2.8rem 0 .8rem; padding-top: .8rem;
  border-top: 1px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
h2 a, h3 a { color: inherit; text-decoration: none; }
h2 a:hover, h3 a:hover { text-decoration: underline; }
a { color: var(--link); }
p { max-width: 44rem; margin: .6rem 0; }
nav ol {
  margin: .8rem 0; padding: .7rem .9rem; list-style: none;
  display: flex; flex-wrap: wrap; gap: .35rem 1.1rem;
  background: var(--band); border-radius: .5rem;
}
.lead, figcaption, .note { color: var(--quiet); }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
.scroll:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: separate; border-spacing: 0; font-size: .88rem; }
.described { font-size: .88rem; margin: 1.2rem 0 0; }
.described + .scroll { margin-top: .3rem; }
th, td {
  text-align: left; padding: .28rem .7rem .28rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap;
}
td.long { white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
th.number { text-align: right; }
th { font-weight: 600; }
tbody th { font-weight: 500; }
tr > th:first-child { position: sticky; left: 0; background: var(--paper); }
tr.mean > * { font-weight: 650; border-top: 2px solid var(--line); }
ol.notes {
  font-size: .88rem; max-width: 44rem; margin: -.7rem 0 1.2rem;
  padding-left: 1.4rem;
}
figure { margin: 1rem 0; max-width: 100%; }
figure img {
  display: block; max-width: 100%; height: auto; background: #fff;
  border-radius: .4rem; border: 1px solid var(--line);
}
figure .scroll { margin: 0; }
figure .scroll img { max-width: max(100%, 56rem); }
figcaption { font-size: .88rem; margin-top: .35rem; max-width: 44rem; }
.gallery {
  display: grid; gap: .4rem 1.2rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr));
}
.gallery figure { margin: .4rem 0; }
.gallery img { width: 100%; }
ul.findings { list-style: none; padding: 0; margin: .6rem 0; }
ul.findings li {
  margin: .4rem 0; padding: .45rem .7rem; border-radius: .4rem;
  border-left: .3rem solid var(--warn); background: var(--warn-band);
  overflow-wrap: anywhere;
}
ul.findings li.failure { border-color: var(--fail);
  background: var(--fail-band); }
.failure b { color: var(--fail); }
.warning b { color: var(--warn); }
.good { color: var(--good); }
summary { cursor: pointer; color: var(--link); padding: .3rem 0; }
code { font-size: .92em; overflow-wrap: anywhere; }
@media (max-width: 30rem) {
  body { padding: .6rem .8rem 3rem; }
  h1 { font-size: 1.4rem; }
  .gallery.small { grid-template-columns: 1fr 1fr; gap: .2rem .7rem; }
}
@media print { nav { display: none; } .scroll { overflow: visible; } }
"""
