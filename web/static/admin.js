// Keys for the list of comments, and times in the reader's format. The pages work without this file.
for (const time of document.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, {dateStyle: "medium", timeStyle: "short"})
}

// Screen readers read a change of a status, but not its first text.
const said = document.querySelector("[role=status] p")
if (said) {
    const text = said.textContent
    setTimeout(() => { said.textContent = text + "\u00a0" }, 500)
}

const form = document.getElementById("decisions")
if (form) {
    const boxes = [...form.querySelectorAll("input[name=ticked]")]
    const all = document.getElementById("tick-all")
    const keys = document.getElementById("keys")
    const use = document.getElementById("use-keys")
    let here = boxes.indexOf(document.activeElement) // the comment where the reader is

    const count = () => {
        const ticked = boxes.filter(box => box.checked).length
        document.getElementById("ticked").textContent = ticked ? `${ticked} ticked` : ""
        all.textContent = ticked === boxes.length ? "Tick none" : "Tick all"
    }
    const go = to => boxes[here = Math.max(0, Math.min(boxes.length - 1, to))].focus()
    const tickAll = () => {
        const checked = !boxes.every(box => box.checked)
        boxes.forEach(box => { box.checked = checked })
        count()
    }
    const press = key => {
        const ticked = boxes.some(box => box.checked)
        const place = ticked ? form.querySelector(".bar") : boxes[here]?.closest("article")
        place?.querySelector(`button[aria-keyshortcuts="${key}"]`)?.click()
    }
    const moves = {
        j: () => go(here + 1),
        k: () => go(here - 1),
        x: () => {
            if (here < 0) return go(0)
            boxes[here].checked = !boxes[here].checked
            count()
            go(here + 1)
        },
        t: tickAll,
        u: () => document.querySelector(".undo button")?.click(),
        "/": () => document.getElementById("q").focus(),
        "?": () => { keys.open = !keys.open; keys.querySelector("summary").focus() },
    }

    keys.hidden = false
    use.checked = localStorage.getItem("keys") !== "off"
    use.addEventListener("change", () => localStorage.setItem("keys", use.checked ? "on" : "off"))
    form.addEventListener("change", count)
    form.addEventListener("focusin", event => {
        const box = event.target.closest("article")?.querySelector("input")
        if (box) here = boxes.indexOf(box)
    })
    all.setAttribute("role", "button")
    all.addEventListener("click", event => { event.preventDefault(); tickAll() })
    all.addEventListener("keydown", event => { if (event.key === " ") { event.preventDefault(); tickAll() } })
    document.addEventListener("keydown", event => {
        const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select")
        if (!use.checked || isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat && !"jk".includes(event.key)) return
        if (moves[event.key]) moves[event.key]()
        else if ("ahsd".includes(event.key)) press(event.key)
        else return
        event.preventDefault()
    })
    count()
}
