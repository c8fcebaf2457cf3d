# SPDX-License-Identifier: PostgreSQL
#
# Draws a simulated day. Set on the command line: directory (with picture.csv and events.gnuplot, as the
# simulation wrote them; the picture goes there too) and kind (png or svg). Needs gnuplot 5.4.

set datafile separator ","
data = directory . "/picture.csv"
load directory . "/events.gnuplot"

if (kind eq "svg") {
  set terminal svg size 1200,680 background "#ffffff" font "Sans,13"
  small = ",11"; large = ",16"
} else {
  set terminal pngcairo size 1200,680 font "Sans,11"
  small = ",9"; large = ",13"
}
set output directory . "/day." . kind
set multiplot
set lmargin at screen 0.072
set rmargin at screen 0.97
set xrange [0:24]
set xtics 0,2,24 scale 0.5
set mxtics 2
set tics nomirror textcolor rgb "#444444"
set border 3 linecolor rgb "#888888"
set grid ytics linecolor rgb "#e4e4e4" linewidth 1
set style fill solid 1.0 noborder
set key at first 7.7, graph 0.90 right top vertical samplen 1.2 spacing 1.15 textcolor rgb "#222222"

# Events: failures are shaded red, the rest blue; a common start is a line. Their names stand above, in
# three rows by turns, since they are longer than most events.
do for [i=1:events] {
  if (to[i] > from[i]) {
    set object i rectangle from first from[i], graph 0 to first to[i], graph 1 \
      behind fillstyle solid (bad[i] ? 0.16 : 0.10) noborder fillcolor rgb (bad[i] ? "#c03030" : "#3060a0")
  } else {
    set arrow i from first from[i], graph 0 to first from[i], graph 1 \
      nohead back linecolor rgb "#3060a0" dashtype 3
  }
  row = 1.03 + 0.075 * (i % 3)
  x = (from[i] + to[i]) / 2
  set arrow 100+i from first x, graph 1 to first x, graph row - 0.005 nohead linecolor rgb "#aaaaaa"
  if (x < 2) {
    set label 100+i what[i] at first x, graph row + 0.025 left font small textcolor rgb "#333333"
  } else { if (x > 21) {
    set label 100+i what[i] at first x + 0.3, graph row + 0.025 right font small textcolor rgb "#333333"
  } else {
    set label 100+i what[i] at first x, graph row + 0.025 center font small textcolor rgb "#333333"
  } }
}

set label 1 title_text at screen 0.5, screen 0.965 center font large textcolor rgb "#111111"
set label 2 first_second at first 0.25, graph 0.955 left font small textcolor rgb "#333333"
set tmargin at screen 0.80
set bmargin at screen 0.40
set format x ""
set ylabel "requests per second,\nall services" textcolor rgb "#222222"
set yrange [0:600]
set ytics 100
plot data skip 1 using ($1/3600.0):3 with lines linecolor rgb "#555555" linewidth 1 title "busiest second", \
     data skip 1 using ($1/3600.0):($2/line_s) with filledcurves x1 linecolor rgb "#d9662b" title "mean: failed", \
     data skip 1 using ($1/3600.0):($5/line_s) with filledcurves x1 linecolor rgb "#2f73b5" title "mean: answered 200"

do for [i=1:events] { unset label 100+i; unset arrow 100+i }
unset label 1
unset label 2
set tmargin at screen 0.355
set bmargin at screen 0.105
set format x "%02.0f:00"
set xlabel "time of day" textcolor rgb "#222222"
set ylabel "hosts without a\nfresh value, %" textcolor rgb "#222222"
set yrange [0:100]
set ytics 25
plot data skip 1 using ($1/3600.0):(100*($9+$10)/pairs) with filledcurves x1 \
       linecolor rgb "#9a6fb0" title "no value yet: the default", \
     data skip 1 using ($1/3600.0):(100*$9/pairs) with filledcurves x1 \
       linecolor rgb "#e3b341" title "stale: the last known value"
unset multiplot
