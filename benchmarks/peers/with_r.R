# One case with spatialreg (cross-section) or splm (two-way panel), run by against_peers.py: Rscript with_r.R FOLDER
suppressMessages({library(spdep); library(spatialreg); library(Matrix)})
folder <- commandArgs(trailingOnly = TRUE)[1]
links <- as.matrix(read.csv(file.path(folder, "links.csv"), header = FALSE))
table <- read.csv(file.path(folder, "data.csv"), header = FALSE, col.names = c("y", "x0", "x1"))
kind <- readLines(file.path(folder, "kind.txt"), warn = FALSE)
n <- max(links)
start <- proc.time()[["elapsed"]]
near <- split(as.integer(links[, 2]), factor(links[, 1], levels = seq_len(n)))
near <- structure(lapply(near, sort), class = "nb", region.id = as.character(seq_len(n)))
listw <- nb2listw(near, style = "W")
direct <- NaN
if (kind == "cross-section") {
  fit <- lagsarlm(y ~ x0 + x1, data = table, listw = listw, Durbin = TRUE, method = "Matrix")
  traces <- trW(as(as_dgRMatrix_listw(listw), "CsparseMatrix"), m = 30, type = "mult")
  effects <- impacts(fit, tr = traces, R = 200)
  rho <- fit$rho
  direct <- effects$res$direct[1]
} else {
  suppressMessages({library(splm); library(plm)})
  table$period <- rep(seq_len(nrow(table) / n), each = n)
  table$region <- rep(seq_len(n), times = nrow(table) / n)
  w <- as(as_dgRMatrix_listw(listw), "CsparseMatrix")
  for (name in c("x0", "x1")) table[[paste0("w", name)]] <- as.vector(w %*% matrix(table[[name]], nrow = n))
  table <- table[, c("region", "period", "y", "x0", "x1", "wx0", "wx1")]
  fit <- spml(y ~ x0 + x1 + wx0 + wx1, data = table, index = c("region", "period"), listw = listw,
              model = "within", effect = "twoways", lag = TRUE, spatial.error = "none")
  rho <- fit$coefficients[["lambda"]]  # splm prints the coefficient of W y as lambda
}
seconds <- proc.time()[["elapsed"]] - start
gigabytes <- sum(gc()[, 6]) / 1024
cat(sprintf('\n{"seconds": %.4f, "rho": %.10f, "direct": %s, "gigabytes": %.3f}\n', seconds, rho,
            ifelse(is.nan(direct), "NaN", sprintf("%.10f", direct)), gigabytes))
