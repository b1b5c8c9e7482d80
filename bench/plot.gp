# Time with locks held by number of assets: one panel for each generation, one line for each method, lowest to highest run as bars.
# Variables: folder, variant, generations.
set terminal svg size 350 * words(generations) + 60, 380 font 'sans-serif,12' background 'white'
set output sprintf('%s/locks-%s.svg', folder, variant)
set multiplot layout 1, words(generations) title sprintf('Time with locks held, variant "%s"', variant)
set logscale xy
set xrange [5000:2000000]
set xlabel 'assets'
set ylabel 'seconds'
set format x '10^{%L}'
set grid
set key top left
points(generation, method) = sprintf("< awk -F '\\t' '$1 == \"%s\" && $2 == \"%s\" && $3 == \"%s\"' %s/points.dat", \
  generation, variant, method, folder)
do for [generation in generations] {
  set title generation
  plot points(generation, 'a') using 4:5:6:7 with yerrorlines title 'gallery\_revert()' lc rgb '#1b6ca8' pt 7 ps 0.6, \
       points(generation, 'b') using 4:5:6:7 with yerrorlines title 'plain script' lc rgb '#c0392b' pt 5 ps 0.6, \
       points(generation, 'c') using 4:5:6:7 with yerrorlines title 'floor' lc rgb '#7f8c8d' pt 9 ps 0.6
}
unset multiplot
