// All parts are there: draw them, and let the plots answer the pointer.
drawAll();
connectPlot(mapPlot);
if (trainingPlot.classList.contains("js-plotly-plot")) connectPlot(trainingPlot);
if (byId("between")) connectPlot(byId("between-plot"));
addEventListener("scroll", hideHover, { passive: true });
document.documentElement.dataset.drawn = "true";
