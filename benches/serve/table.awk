# Reads lines of "what server rate microseconds" and prints medians as Markdown; `servers` are the columns, the first is ours.
function median(list, count,    values, i, j, swap) {
  split(list, values, " ")
  for (i = 2; i <= count; i++)
    for (j = i; j > 1 && values[j] + 0 < values[j - 1] + 0; j--) { swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap }
  return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}
function shown(value) { return value == "" ? "" : value < 100 ? sprintf("%.3g", value) : sprintf("%.0f", value) }
function row(title, what, least,    i, line, value, best, ours) {
  line = "| " title " |"
  for (i = 1; i <= columns; i++) {
    value = count[what, name[i]] ? median(rates[what, name[i]], count[what, name[i]]) : ""
    if (i == 1) ours = value
    else if (value != "" && (best == "" || (least ? value < best : value > best))) best = value
    line = line " " shown(what == "memory" && value != "" ? value / 1024 : value) " |"
  }
  value = count[what, "machine"] ? median(rates[what, "machine"], count[what, "machine"]) : ""
  print line " " shown(value) " | " (best == "" ? "" : sprintf("%.2f", ours / best)) " |"
}
function cost(title, what,    i, line) {
  line = "| " title " |"
  for (i = 1; i <= columns; i++)
    line = line " " (count[what, name[i]] ? shown(median(costs[what, name[i]], count[what, name[i]])) : "") " |"
  print line
}
{ count[$1, $2]++; rates[$1, $2] = rates[$1, $2] " " $3; costs[$1, $2] = costs[$1, $2] " " $4 }
END {
  columns = split(servers, name, " ")
  head = "| |"; rule = "| --- |"
  for (i = 1; i <= columns; i++) { head = head " " name[i] " |"; rule = rule " --- |" }
  print head " machine's limit | ours to the best peer |"
  print rule " --- | --- |"
  row("PROPFIND Depth 1, " many " files, /s (4 connections; limit: readdir and stat on all cores)", "propfind-many")
  row("PROPFIND Depth 1 of " folders " folders of 10, /s (16 connections)", "propfind-few")
  row("GET 100 KB, /s (16 connections)", "get-small")
  row("GET " large " MiB, MiB/s", "get-large")
  row("PUT 100 KB, files/s (8 connections; limit: write, fsync, rename, fsync the folder, 8 threads)", "put-small")
  row("PUT " large " MiB, MiB/s (limit: cp and fsync)", "put-large")
  row("peak memory, MiB", "memory", 1)
  print ""
  print "Processor time of the server for one, in microseconds:\n"
  print head; print rule
  cost("PROPFIND, " many " files", "propfind-many")
  cost("PROPFIND, 10 files", "propfind-few")
  cost("GET 100 KB", "get-small")
  cost("GET, a MiB of the large file", "get-large")
  cost("PUT 100 KB", "put-small")
  cost("PUT, a MiB of the large file", "put-large")
}
