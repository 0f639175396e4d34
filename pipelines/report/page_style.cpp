#include "pipelines/report/page_style.h"

namespace strandwave {

std::string_view page_style() {
    return R"css(:root{color-scheme:light dark;--page:#f2f4f7;--card:#fff;--ink:#17202b;--soft:#566270;--line:#d7dde5;
--grid:#e8ecf1;--link:#005f98;--bad:#a83200;--badbed:#fdece4;
--k0:#0072b2;--k1:#d55e00;--k2:#009e73;--k3:#cc79a7;--k4:#e69f00;--k5:#56b4e9;--k6:#2b3440;--rest:#a3acb8;
--h1:#d6e6f4;--h2:#c1d9ee;--h3:#9ac4e1;--h4:#6aaad3;--h5:#2f7ab2;--h6:#1a609c;--h7:#084584;--onlow:#17202b;--onhigh:#fff;
--median:#d55e00}
@media(prefers-color-scheme:dark){:root{--page:#10141a;--card:#1a2029;--ink:#e7ebf0;--soft:#a4afbc;--line:#343d49;
--grid:#2a323d;--link:#7cc0f2;--bad:#ffb08a;--badbed:#3a2318;
--k0:#3d9fdd;--k1:#f0843c;--k2:#24b98d;--k3:#dd95bd;--k4:#e9b13c;--k5:#8fd0f7;--k6:#e3e7ec;--rest:#6d7885;
--h1:#28425c;--h2:#2c5475;--h3:#30668d;--h4:#38789f;--h5:#62a1cd;--h6:#94c3e4;--h7:#cde5f7;--onlow:#f2f6fa;--onhigh:#10141a;
--median:#ff9a4d}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif}
h1{margin:.25rem 0 0;font-size:1.6rem;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0 0 .5rem;font-size:1.15rem;line-height:1.3}
h3{margin:1.1rem 0 .35rem;font-size:.95rem}
p{margin:.35rem 0 .6rem;max-width:70ch}
header p,footer,small,caption,dt{color:var(--soft)}
header p,dd,li,td,th{overflow-wrap:anywhere}
tbody th{min-width:5.5rem}.composition tbody th,.matrix tbody th{min-width:7.5rem}
a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:1rem 0;font-size:.9rem}
nav a{padding:.2rem 0}
main{display:grid;gap:1rem;grid-template-columns:minmax(0,1fr);align-items:start}
@media(min-width:56rem){main{grid-template-columns:repeat(2,minmax(0,1fr))}.wide{grid-column:1/-1}}
section,.tiles>div{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
section{padding:1rem;min-width:0}
:target{outline:2px solid var(--link)}
footer{margin-top:1rem;font-size:.85rem}
.tiles{display:grid;gap:.6rem;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));margin:1rem 0 0}
.tiles>div{padding:.6rem .8rem}
.tiles dt{font-size:.8rem}
.tiles dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles.small{margin:0 0 .5rem;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr))}
.tiles.small>div{background:none;padding:.35rem .6rem}
.tiles.small dd{font-size:1.1rem}
figure{margin:.5rem auto;max-width:40rem}
figure svg{display:block;width:100%;height:auto}
svg text{font-size:13.5px;fill:var(--soft)}
svg .label{fill:var(--ink)}
.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--soft);fill:none}
path.median,path.halo{stroke:var(--median);stroke-width:2;fill:none;stroke-linejoin:round;stroke-linecap:round}
path.halo{stroke:var(--card);stroke-width:5;stroke-opacity:.8}
.dots{fill:none;stroke-width:3.6;stroke-linecap:round;stroke-opacity:.6}
.k0{fill:var(--k0)}.k1{fill:var(--k1)}.k2{fill:var(--k2)}.k3{fill:var(--k3)}.k4{fill:var(--k4)}.k5{fill:var(--k5)}
.k6{fill:var(--k6)}.rest{fill:var(--rest)}
path.dots{fill:none}
path.k0{stroke:var(--k0)}path.k1{stroke:var(--k1)}path.k2{stroke:var(--k2)}path.k3{stroke:var(--k3)}
path.k4{stroke:var(--k4)}path.k5{stroke:var(--k5)}path.k6{stroke:var(--k6)}path.rest{stroke:var(--rest)}
i.k0{background:var(--k0)}i.k1{background:var(--k1)}i.k2{background:var(--k2)}i.k3{background:var(--k3)}
i.k4{background:var(--k4)}i.k5{background:var(--k5)}i.k6{background:var(--k6)}i.rest{background:var(--rest)}
.h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}.h5{fill:var(--h5)}.h6{fill:var(--h6)}
.h7{fill:var(--h7)}
i.h1,td.h1{background:var(--h1)}i.h2,td.h2{background:var(--h2)}i.h3,td.h3{background:var(--h3)}
i.h4,td.h4{background:var(--h4)}i.h5,td.h5{background:var(--h5)}i.h6,td.h6{background:var(--h6)}
i.h7,td.h7{background:var(--h7)}
i.median{background:var(--median);height:.2rem!important;vertical-align:middle!important}
.legend{display:flex;flex-wrap:wrap;gap:.15rem 1rem;list-style:none;margin:.4rem 0;padding:0;font-size:.85rem}
.legend i{display:inline-block;width:.85rem;height:.85rem;border-radius:.2rem;margin-right:.4rem;vertical-align:-.08rem}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:.85rem;padding:.3rem 0}
th,td{padding:.3rem .55rem .3rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{overflow-wrap:normal;font-size:.8rem;color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:400}
.n{text-align:right}td.n{white-space:nowrap}
th small,td small{display:block;font-size:.8rem}
.bar{height:.85rem;min-width:4.5rem;margin:.3rem 0;border-radius:.2rem;overflow:hidden}
.bar i{display:block;height:100%;border-radius:.2rem;min-width:1px}
.stack{display:flex;background:var(--grid)}
.stack i{border-radius:0;box-shadow:inset -1px 0 var(--card)}
.composition tbody th{max-width:14rem}
.composition td:nth-child(2){width:42%}
.inputs td:nth-child(2):not(.n){width:45%}
@media(max-width:40rem){.inputs td small{display:none}.inputs tbody th{min-width:9rem}}
.narrow{max-width:34rem;margin-top:.8rem}
.bad{display:inline-block;padding:0 .4rem;border-radius:.3rem;background:var(--badbed);color:var(--bad);font-size:.8rem;
font-weight:600}
.matrix{width:auto}
.matrix th,.matrix td{padding:.3rem .4rem;border:2px solid var(--card)}
.matrix td{text-align:right;min-width:2.6rem;white-space:nowrap;vertical-align:middle}
.matrix tbody th{max-width:11rem;vertical-align:middle;position:sticky;left:0;background:var(--card)}
.matrix thead th span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:15rem}
.matrix .h0{color:var(--soft)}
.h1,.h2,.h3,.h4{color:var(--onlow)}.h5,.h6,.h7{color:var(--onhigh)}
.same{font-weight:700}
details{margin-top:.6rem}
summary{cursor:pointer;color:var(--link);font-size:.9rem;padding:.2rem 0}
.facts{display:grid;gap:.1rem 1.5rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));margin:0}
.facts div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--line);padding:.25rem 0;
font-size:.9rem}
.facts dd{margin:0;text-align:right}
pre{margin:0;padding:.7rem;background:var(--page);border-radius:.4rem;overflow-x:auto;font-size:.85rem;
white-space:pre-wrap;overflow-wrap:anywhere}
#problems{border-color:var(--bad)}
#problems h2{color:var(--bad)}
@media(min-width:56rem){svg text{font-size:10px}}
@media print{body{background:none;max-width:none}section{break-inside:avoid}nav{display:none}}
)css";
}

} // namespace strandwave
