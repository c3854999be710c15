//! From the syntax tree to native code, if all of it is in the subset.

use oxc_ast::ast::{
    Argument, ArrayExpressionElement, CallExpression, ChainElement, Expression as Tree, TemplateLiteral,
};
use oxc_syntax::operator::{BinaryOperator, UnaryOperator};

use super::analyze::Aliases;
use super::function::{Function, constant};
use super::method::Method;
use super::native::Code;
use super::value::Value;

/// How deep the code may be nested: it is evaluated by calls. Deeper expressions are the engine's.
const DEEPEST: usize = 200;

/// The native code of an expression, if it is in the subset.
pub(crate) fn compile(tree: &Tree<'_>, aliases: &Aliases) -> Option<Code> {
    Compiler { aliases, depth: 0 }.code(tree)
}

struct Compiler<'a> {
    aliases: &'a Aliases,
    depth: usize,
}

impl Compiler<'_> {
    fn code(&mut self, tree: &Tree<'_>) -> Option<Code> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let code = self.shallow(tree);
        self.depth -= 1;
        code
    }

    fn shallow(&mut self, tree: &Tree<'_>) -> Option<Code> {
        Some(match tree {
            Tree::BooleanLiteral(literal) => Code::Constant(literal.value.into()),
            Tree::NullLiteral(_) => Code::Constant(Value::Null),
            Tree::NumericLiteral(literal) => Code::Constant(literal.value.into()),
            Tree::StringLiteral(literal) if !literal.lone_surrogates => {
                Code::Constant(literal.value.as_str().into())
            }
            Tree::TemplateLiteral(template) => self.template(template)?,
            Tree::Identifier(identifier) => self.identifier(identifier.name.as_str())?,
            Tree::ParenthesizedExpression(inner) => self.code(&inner.expression)?,
            Tree::SequenceExpression(sequence) => Code::Sequence(
                sequence.expressions.iter().map(|tree| self.code(tree)).collect::<Option<_>>()?,
            ),
            Tree::ArrayExpression(array) => {
                let item = |element: &ArrayExpressionElement<'_>| self.code(element.as_expression()?);
                Code::Array(array.elements.iter().map(item).collect::<Option<_>>()?)
            }
            Tree::UnaryExpression(unary) if unary.operator != UnaryOperator::Delete => {
                match (unary.operator, self.code(&unary.argument)?) {
                    (UnaryOperator::UnaryNegation, Code::Constant(Value::Number(number))) => {
                        Code::Constant((-number).into())
                    }
                    (operator, operand) => Code::Unary(operator, Box::new(operand)),
                }
            }
            Tree::BinaryExpression(binary) => {
                if matches!(binary.operator, BinaryOperator::In | BinaryOperator::Instanceof) {
                    return None;
                }
                let operands = [self.code(&binary.left)?, self.code(&binary.right)?];
                match (binary.operator, operands) {
                    (BinaryOperator::Addition, operands) if operands.iter().any(is_text) => joined(operands),
                    (operator, operands) => Code::Binary(operator, Box::new(operands)),
                }
            }
            Tree::LogicalExpression(logical) => {
                let operands = [self.code(&logical.left)?, self.code(&logical.right)?];
                Code::Logical(logical.operator, Box::new(operands))
            }
            Tree::ConditionalExpression(conditional) => Code::Conditional(Box::new([
                self.code(&conditional.test)?,
                self.code(&conditional.consequent)?,
                self.code(&conditional.alternate)?,
            ])),
            Tree::ChainExpression(chain) => Code::Chain(Box::new(match &chain.expression {
                ChainElement::CallExpression(call) => self.call(call)?,
                ChainElement::StaticMemberExpression(member) => {
                    self.member(&member.object, member.property.name.as_str(), member.optional)?
                }
                ChainElement::ComputedMemberExpression(member) => {
                    self.index(&member.object, &member.expression, member.optional)?
                }
                _ => return None,
            })),
            Tree::CallExpression(call) => self.call(call)?,
            Tree::StaticMemberExpression(member) => {
                self.member(&member.object, member.property.name.as_str(), member.optional)?
            }
            Tree::ComputedMemberExpression(member) => {
                self.index(&member.object, &member.expression, member.optional)?
            }
            _ => return None,
        })
    }

    fn alias(&self, name: &str) -> Option<usize> {
        self.aliases.get(name).copied()
    }

    fn identifier(&self, name: &str) -> Option<Code> {
        if let Some(index) = self.alias(name) {
            return Some(Code::Variable(index));
        }
        Some(Code::Constant(match name {
            "undefined" => Value::Undefined,
            "NaN" => f64::NAN.into(),
            "Infinity" => f64::INFINITY.into(),
            _ => return None,
        }))
    }

    /// A name that is no alias: a global.
    fn global<'t>(&self, tree: &'t Tree<'_>) -> Option<&'t str> {
        match tree.without_parentheses() {
            Tree::Identifier(identifier) if self.alias(identifier.name.as_str()).is_none() => {
                Some(identifier.name.as_str())
            }
            _ => None,
        }
    }

    fn template(&mut self, template: &TemplateLiteral<'_>) -> Option<Code> {
        let mut parts = Vec::new();
        let mut expressions = template.expressions.iter();
        for quasi in &template.quasis {
            let text = quasi.value.cooked.as_ref().filter(|_| !quasi.lone_surrogates)?;
            parts.push(Code::Constant(text.as_str().into()));
            if let Some(expression) = expressions.next() {
                parts.push(self.code(expression)?);
            }
        }
        Some(Code::Template(parts.into()))
    }

    fn member(&mut self, object: &Tree<'_>, key: &str, is_optional: bool) -> Option<Code> {
        if let Some(owner) = self.global(object) {
            return constant(owner, key).map(|number| Code::Constant(number.into()));
        }
        let object = Box::new(self.code(object)?);
        Some(Code::Member { object, key: key.into(), is_optional })
    }

    fn index(&mut self, object: &Tree<'_>, key: &Tree<'_>, is_optional: bool) -> Option<Code> {
        let (object, key) = (Box::new(self.code(object)?), Box::new(self.code(key)?));
        Some(Code::Index { object, key, is_optional })
    }

    fn call(&mut self, call: &CallExpression<'_>) -> Option<Code> {
        if call.optional {
            return None;
        }
        let mut arguments = |arguments: &[Argument<'_>]| {
            arguments
                .iter()
                .map(|argument| self.code(argument.as_expression()?))
                .collect::<Option<Box<[_]>>>()
        };
        let given = arguments(&call.arguments)?;
        if let Some(name) = self.global(&call.callee) {
            return Some(Code::Call(Function::global(name)?, given));
        }
        let Tree::StaticMemberExpression(member) = &call.callee else { return None };
        let name = member.property.name.as_str();
        if let Some(owner) = self.global(&member.object) {
            return Some(Code::Call(Function::of(owner, name)?, given));
        }
        let (method, most) = Method::named(name)?;
        if given.len() > most {
            return None;
        }
        let object = Box::new(self.code(&member.object)?);
        Some(Code::Method { object, method, is_optional: member.optional, arguments: given })
    }
}

/// Whether it is sure to be a text.
fn is_text(code: &Code) -> bool {
    matches!(code, Code::Constant(Value::String(_)) | Code::Template(_))
}

/// A sum with a text in it, which is all texts, as one template: `"a" + b + "c"` makes one text, not two.
fn joined([left, right]: [Code; 2]) -> Code {
    match left {
        Code::Template(parts) => Code::Template(parts.into_iter().chain([right]).collect()),
        left => Code::Template([left, right].into()),
    }
}
