// What axe finds in the theme: the search's dialog has no name, and the keyboard does not reach code and tables that are
// wider than their boxes, where the theme believes that there is no mouse.
const WIDE = ".md-typeset__scrollwrap, .md-typeset pre > code"

function correct() {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search")
  for (const box of document.querySelectorAll(WIDE)) {
    if (!box.hasAttribute("tabindex")) box.tabIndex = 0
  }
}

correct()
new MutationObserver(correct).observe(document.body, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["tabindex"],
})
