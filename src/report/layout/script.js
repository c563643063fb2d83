(function () {
  "use strict";
  function value(row, column) {
    var cell = row.cells[column];
    var sort = cell.getAttribute("data-v");
    return sort === null ? cell.textContent : sort === "" ? null : Number(sort);
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }
  function sort(table, heading, column) {
    var up = heading.getAttribute("aria-sort") === "descending" ||
      (heading.getAttribute("aria-sort") === null && !heading.classList.contains("n"));
    var body = table.tBodies[0];
    var rows = Array.prototype.map.call(body.rows, function (row, index) {
      return { row: row, value: value(row, column), index: index };
    });
    rows.sort(function (a, b) {
      if (a.value === null || b.value === null) {
        return (a.value === null) - (b.value === null) || a.index - b.index;
      }
      var order = compare(a.value, b.value);
      return (up ? order : -order) || a.index - b.index;
    });
    var sorted = document.createDocumentFragment();
    rows.forEach(function (entry) { sorted.appendChild(entry.row); });
    body.appendChild(sorted);
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell) {
      cell.removeAttribute("aria-sort");
    });
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  }
  document.querySelectorAll("table.sort").forEach(function (table) {
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (heading, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.textContent = "";
      heading.appendChild(button);
      button.addEventListener("click", function () { sort(table, heading, column); });
    });
  });
  function said(button, words) {
    button.textContent = words;
    setTimeout(function () { button.textContent = "Copy"; }, 1500);
  }
  function copyOld(source) {
    var range = document.createRange();
    range.selectNodeContents(source);
    var selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
  document.querySelectorAll("code.filter").forEach(function (source) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this display filter");
    button.addEventListener("click", function () {
      var old = function () { said(button, copyOld(source) ? "Copied" : "Press Ctrl+C"); };
      if (navigator.clipboard && navigator.clipboard.writeText) {
        navigator.clipboard.writeText(source.textContent).then(function () {
          said(button, "Copied");
        }, old);
      } else {
        old();
      }
    });
    source.insertAdjacentElement("afterend", button);
  });
})();
