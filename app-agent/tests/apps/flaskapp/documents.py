"""XML and XPath."""

import io
import re
import xml.dom.minidom
import xml.etree.ElementTree as ElementTree
import xml.sax
import xml.sax.handler

import elementpath
import lxml.etree
from flask import abort, jsonify, request

from . import case

DOCUMENT = "<people><p name='ada' id='1'>first</p><p name='bob' id='2'>second</p></people>"
NAME = {"query_string": {"name": "ada"}}
XML = {"method": "POST", "data": {"xml": "<a>text</a>"}}


@case("xpath-injection", True, **NAME)
def xpath_lxml():
    tree = lxml.etree.fromstring(DOCUMENT)
    return jsonify(len(tree.xpath(f"//p[@name='{request.args['name']}']")))


@case("xpath-injection", True, method="POST", data={"name": "ada"})
def xpath_compiled():
    tree = lxml.etree.fromstring(DOCUMENT)
    return jsonify(len(lxml.etree.XPath("//p[@name='" + request.form["name"] + "']")(tree)))


@case("xpath-injection", True, cookies={"name": "ada"})
def xpath_elementpath():
    root = ElementTree.fromstring(DOCUMENT)
    return jsonify(len(elementpath.select(root, "//p[@name='%s']" % request.cookies["name"])))


@case("xpath-injection", True, **NAME)
def xpath_tree():
    tree = lxml.etree.parse(io.StringIO(DOCUMENT))
    query = "".join(["//p[@name=\"", request.args["name"], "\"]"])
    return jsonify(len(tree.xpath(query)))


@case("xpath-injection", True, **NAME)
def xpath_etree_find():
    root = ElementTree.fromstring(DOCUMENT)
    return jsonify(len(root.findall(f"p[@name='{request.args['name']}']")))


@case("xpath-injection", False, **NAME)
def xpath_variable():
    tree = lxml.etree.fromstring(DOCUMENT)
    return jsonify(len(tree.xpath("//p[@name=$name]", name=request.args["name"])))


@case("xpath-injection", False, **NAME)
def xpath_quotes_replaced():
    name = request.args["name"].replace("'", "&apos;")
    return jsonify(len(lxml.etree.fromstring(DOCUMENT).xpath(f"//p[@name='{name}']")))


@case("xpath-injection", False, **NAME)
def xpath_quote_refused():
    name = request.args["name"]
    if "'" in name:
        abort(400)
    return jsonify(len(lxml.etree.fromstring(DOCUMENT).xpath(f"//p[@name='{name}']")))


@case("xpath-injection", False, **NAME)
def xpath_word():
    name = request.args["name"]
    if not re.match(r"^\w+$", name):
        abort(400)
    return jsonify(len(lxml.etree.fromstring(DOCUMENT).xpath("//p[@name='" + name + "']")))


@case("xpath-injection", False, **NAME)
def xpath_second_element():
    names = [request.args["name"], "bob"]
    return jsonify(len(elementpath.select(ElementTree.fromstring(DOCUMENT), f"//p[@name='{names[1]}']")))


@case("xml-external-entity", True, **XML)
def xxe_lxml():
    parser = lxml.etree.XMLParser(resolve_entities=True)
    return jsonify(lxml.etree.fromstring(request.form["xml"], parser).text)


@case("xml-external-entity", True, **XML)
def xxe_sax():
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, True)
    parser.setContentHandler(xml.sax.handler.ContentHandler())
    parser.parse(io.StringIO(request.form["xml"]))
    return jsonify("ok")


@case("xml-external-entity", True, method="POST", data="<a>text</a>", content_type="application/xml")
def xxe_minidom():
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, True)
    return jsonify(len(xml.dom.minidom.parseString(request.get_data().decode(), parser).childNodes))


@case("xml-external-entity", True, **XML)
def xxe_lxml_stream():
    parser = lxml.etree.XMLParser(load_dtd=True, resolve_entities=True)
    return jsonify(lxml.etree.parse(io.BytesIO(request.form["xml"].encode()), parser).getroot().text)


@case("xml-external-entity", False, **XML)
def xxe_lxml_default():
    return jsonify(lxml.etree.fromstring(request.form["xml"]).text)


@case("xml-external-entity", False, **XML)
def xxe_lxml_off():
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True)
    return jsonify(lxml.etree.fromstring(request.form["xml"], parser).text)


@case("xml-external-entity", False, **XML)
def xxe_sax_off():
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    parser.setContentHandler(xml.sax.handler.ContentHandler())
    parser.parse(io.StringIO(request.form["xml"]))
    return jsonify("ok")


@case("xml-external-entity", False, **XML)
def xxe_etree():
    return jsonify(ElementTree.fromstring(request.form["xml"]).text)


@case("xml-external-entity", False, **XML)
def xxe_fixed_document():
    parser = lxml.etree.XMLParser(resolve_entities=True)
    return jsonify(lxml.etree.fromstring("<a>fixed</a>", parser).text + str(len(request.form["xml"])))
