// Long names of functions break after a dot or an underscore, not inside a word.
document.addEventListener("DOMContentLoaded", () => {
  const names = "h1, .prev-next-title, .bd-sidebar-primary nav a, .page-toc code span";
  for (const element of document.querySelectorAll(names)) {
    for (const node of [...element.childNodes]) {
      if (node.nodeType !== Node.TEXT_NODE || !/^\s*[\w.]+\s*$/.test(node.data)) continue;
      const parts = node.data.split(/(?<=\w[._])(?=\w)/);
      node.replaceWith(...parts.flatMap((part) => [part, document.createElement("wbr")]).slice(0, -1));
    }
  }
});
